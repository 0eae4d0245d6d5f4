"""Every family that is tested forward, in one table."""

from tests.architectures.families.family import Family
from tests.architectures.families.llava import LLAVA
from tests.architectures.families.native import NATIVE
from tests.architectures.families.tiled import TILED

FAMILIES: tuple[Family, ...] = (*LLAVA, *NATIVE, *TILED)

ON_EVERY_COMMIT = frozenset(
    {
        *("LLaVA-1.5", "LLaVA-NeXT", "Pixtral", "Qwen2.5-VL", "Qwen3-VL", "InternVL", "Fuyu"),
        *("Idefics3", "PaliGemma", "Gemma4", "BLIP-2", "Mllama", "Chameleon"),
    }
)
"""One family for each way of reading pictures; the others are marked slow, for their number."""
