"""Families whose own processors turn pictures into token grids: see the table."""

from tests.architectures.families.family import Family
from tests.architectures.families.native_bare import BARE
from tests.architectures.families.native_glm import GLM
from tests.architectures.families.native_more import MORE
from tests.architectures.families.native_qwen import QWEN
from tests.architectures.families.native_tiles import TILES

NATIVE: tuple[Family, ...] = (*QWEN, *GLM, *TILES, *BARE, *MORE)
