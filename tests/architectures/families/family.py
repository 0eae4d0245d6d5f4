"""``Family``: one architecture as the suite sees it, and how a tiny model of it is made."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Family:
    """A tiny random model of an architecture, with what the architecture can do.

    Attributes:
        name: as people call it; the id of its tests.
        model_type: of its configuration.
        build: writes a model directory (weights, config, processor, chat template) from a path and
            a seed, as ``save_pretrained`` would; the same arguments write the same bytes.
        several_pictures: a sample may hold two pictures.
        text_only: a sample may hold none.
        mixed: such samples may stand in one batch with others that hold some.
        even: a batch holds only samples with equally many pictures.
        geometry: how patches lie: ``fixed``, ``tiles``, ``dynamic``, ``packed`` (a grid of each
            picture's own size), or ``resampled`` (no patch has a place).
        masked: tokens whose logits the family bars, such as picture tokens.
        note: what is special about it, for people.
    """

    name: str
    model_type: str
    build: Callable[[Path, int], Path]
    several_pictures: bool = True
    text_only: bool = True
    mixed: bool = True
    even: bool = False
    geometry: str = "fixed"
    masked: bool = False
    note: str = ""
