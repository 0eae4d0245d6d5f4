"""Families that cut pictures into tiles, resample them, or show them beside the text."""

from tests.architectures.families.family import Family
from tests.architectures.families.tiled_beside import BESIDE
from tests.architectures.families.tiled_encoded import ENCODED
from tests.architectures.families.tiled_gemma import GEMMA
from tests.architectures.families.tiled_idefics import IDEFICS
from tests.architectures.families.tiled_more import MORE

TILED: tuple[Family, ...] = (*IDEFICS, *GEMMA, *BESIDE, *ENCODED, *MORE)
