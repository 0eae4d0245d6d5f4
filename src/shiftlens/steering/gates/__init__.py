"""When to steer: gates decide, for each sample or each step, whether an intervention applies.

A gate reads the state at the last prompt position, at or before the block that it guards, and its
decision holds for the whole response; a gate ``at_every_step`` decides again for each position that
emits a token. A gate about what will only be said later can only be decided by looking at an
unsteered response first: that is a ``TwoPassGate``, and is named so.
"""

from shiftlens.steering.gates.about_to_say import AboutToSay as AboutToSay
from shiftlens.steering.gates.active import Active as Active
from shiftlens.steering.gates.gate import Gate as Gate
from shiftlens.steering.gates.gate import Joint as Joint
from shiftlens.steering.gates.gate import Leaf as Leaf
from shiftlens.steering.gates.gate import Not as Not
from shiftlens.steering.gates.gate import Reading as Reading
from shiftlens.steering.gates.gate import StateGate as StateGate
from shiftlens.steering.gates.linear import LDA as LDA
from shiftlens.steering.gates.linear import LinearGate as LinearGate
from shiftlens.steering.gates.linear import LogisticProbe as LogisticProbe
from shiftlens.steering.gates.nearest import NearestConcept as NearestConcept
from shiftlens.steering.gates.texts import PromptSays as PromptSays
from shiftlens.steering.gates.texts import When as When
from shiftlens.steering.gates.two_pass import TwoPassGate as TwoPassGate
