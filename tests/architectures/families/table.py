"""Every family that is tested forward, in one table."""

from tests.architectures.families.family import Family
from tests.architectures.families.llava import LLAVA
from tests.architectures.families.native import NATIVE
from tests.architectures.families.tiled import TILED

FAMILIES: tuple[Family, ...] = (*LLAVA, *NATIVE, *TILED)
