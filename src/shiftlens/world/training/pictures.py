"""Training pictures, drawn once and kept as bytes, with exact labels for every patch."""

import multiprocessing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shiftlens.core.progress import Progress
from shiftlens.world.render import render
from shiftlens.world.scenes import SUBJECTS, Scene, sample_scenes
from shiftlens.world.training.architecture import GRID, PATCH

_COVERED = 0.12  # a patch shows the subject when this share of its pixels does


@dataclass(frozen=True)
class Pictures:
    """Scenes with their pixels.

    Attributes:
        scenes: n of them.
        pixels: uint8 (n, side, side, 3).
        covered: bool (n, tokens), the patches in which the subject can be seen.
    """

    scenes: list[Scene]
    pixels: np.ndarray
    covered: np.ndarray

    def __len__(self) -> int:
        return len(self.scenes)

    def tensor(self, index: np.ndarray, *, flip: bool = False) -> Tensor:
        """Pixels as the model wants them: float (b, 3, side, side) in -1..1."""
        chosen = self.pixels[index]
        if flip:
            chosen = chosen[:, :, ::-1]
        floats = torch.from_numpy(np.ascontiguousarray(chosen)).permute(0, 3, 1, 2).float()
        return floats.div_(127.5).sub_(1.0)

    def patches(self, index: np.ndarray, *, flip: bool = False) -> Tensor:
        """Subject of each patch, 0 for none: int (b, tokens)."""
        covered = self.covered[index].reshape(-1, GRID, GRID)
        if flip:
            covered = covered[:, :, ::-1]
        subjects = np.array([SUBJECTS.index(self.scenes[i].subject) + 1 for i in index])
        return torch.from_numpy(covered.reshape(len(index), -1) * subjects[:, None])


def _draw(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    picture = render(scene)
    mask = np.zeros(picture.image.size[::-1], dtype=bool)
    for name, visible in picture.masks.items():
        if name.startswith("subject"):
            mask |= visible
    share = mask.reshape(GRID, PATCH, GRID, PATCH).mean(axis=(1, 3))
    return np.asarray(picture.image), (share > _COVERED).reshape(-1)


def draw_pictures(n: int, *, split: str, seed: int, progress: Progress) -> Pictures:
    """Draw ``n`` scenes of a split, on every core."""
    scenes = sample_scenes(n, split=split, seed=seed)
    pixels: list[np.ndarray] = []
    covered: list[np.ndarray] = []
    progress.start(f"drawing {split}", n)
    with multiprocessing.get_context("spawn").Pool() as pool:
        for picture, mask in pool.imap(_draw, scenes, chunksize=128):
            pixels.append(picture)
            covered.append(mask)
            progress.advance()
    progress.stop()
    return Pictures(scenes, np.stack(pixels), np.stack(covered))
