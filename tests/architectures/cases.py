"""What every family is asked, and what its tiny model does with it."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image
from tests.architectures.families.family import Family
from tests.architectures.runs import Run, run_of

from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn


def digests(path: Path) -> dict[str, str]:
    """SHA-256 of every file in a directory."""
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


@dataclass
class Case:
    """A family with its tiny model.

    Attributes:
        family: from the table.
        path: the directory of its files.
        files: digests of these files before anything read them.
        model: loaded from there.
        images: pictures of different sizes.
    """

    family: Family
    path: Path
    files: dict[str, str]
    model: Model
    images: list[Image.Image]

    @property
    def batches(self) -> list[list[Turn]]:
        """What is asked, in as few batches as the family can read.

        Prompts differ in length and pictures in size; where the family can, there are two pictures
        in a sample, and samples without any beside the others.
        """
        wide, high, square, small = self.images
        seen = [
            Turn("what is this ?", (wide,)),
            Turn("a man is standing on the beach in the snow , what is this ?", (high,)),
            Turn("describe the picture .", (small,)),
        ]
        double = [Turn("is the dog in the picture ?", (square, high))]
        if self.family.even:
            return [seen, [*double, Turn("what is this ?", (small, wide))]]
        if self.family.several_pictures:
            seen += double
        blind = [Turn("what is the man on ?"), Turn("yes")] if self.family.text_only else []
        if self.family.mixed:
            return [[*seen, *blind]]
        return [batch for batch in (seen, blind) if batch]

    @cached_property
    def together(self) -> list[Run]:
        """What the model does with each batch."""
        return [run_of(self.model, batch) for batch in self.batches]

    @cached_property
    def alone(self) -> list[list[Run]]:
        """What it does with every turn of each batch by itself."""
        return [[run_of(self.model, [turn]) for turn in batch] for batch in self.batches]


def draw(size: tuple[int, int], seed: int) -> Image.Image:
    """A picture of coloured noise around a colour of its own."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, 3) + random.integers(-60, 60, (size[1], size[0], 3))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
