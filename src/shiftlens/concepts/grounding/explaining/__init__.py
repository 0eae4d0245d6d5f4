"""Which concepts are active at which word of one answer."""

from shiftlens.concepts.grounding.explaining.activity import Activity as Activity
from shiftlens.concepts.grounding.explaining.explain import explain as explain
from shiftlens.concepts.grounding.explaining.explanation import Explanation as Explanation
