"""Looking into a model without its weights: where everything is, and what is not supported."""

from shiftlens.models.inspecting.inspection import AdapterSettings as AdapterSettings
from shiftlens.models.inspecting.inspection import Inspection as Inspection
from shiftlens.models.inspecting.inspection import Logits as Logits
from shiftlens.models.inspecting.inspection import Patches as Patches
from shiftlens.models.inspecting.inspection import TokenRoles as TokenRoles
from shiftlens.models.inspecting.looking import inspect as inspect
from shiftlens.models.inspecting.sweeping import Architecture as Architecture
from shiftlens.models.inspecting.sweeping import sweep as sweep
