"""A steering in the formats of other engines: one target each, refused where it does not fit."""

from shiftlens.steering.exporting.export import export as export
from shiftlens.steering.exporting.subject import Subject as Subject
from shiftlens.steering.exporting.target import Exported as Exported
from shiftlens.steering.exporting.target import Plan as Plan
from shiftlens.steering.exporting.target import Target as Target
from shiftlens.steering.exporting.target import targets as targets
