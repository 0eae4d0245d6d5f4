"""Array shapes, named once: ``n`` rows, ``d`` width of the residual stream, ``k`` concepts.

The annotations are checked at run time in tests only. This module is the only one in ``core`` that
imports torch, so that manifests and errors stay light.
"""

from jaxtyping import Float, Int
from torch import Tensor

Acts = Float[Tensor, "n d"]
"""One selected state a row."""

Vectors = Float[Tensor, "k d"]
"""One concept, or one shift, a row."""

Codes = Float[Tensor, "n k"]
"""Activation of each concept on each row."""

Assignment = Int[Tensor, " n"]
"""Index of the concept that each row belongs to."""
