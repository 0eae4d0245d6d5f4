"""Stage one: the vision tower learns to see, from labels of the whole picture and of each patch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shiftlens.core.progress import Progress
from shiftlens.world.scenes import COLORS, HARMLESS, MOODS, PLACES, SUBJECTS, Scene, actions_of
from shiftlens.world.training.architecture import PATCH, VISION_WIDTH
from shiftlens.world.training.loop import Group, Recipe, train_stage
from shiftlens.world.training.pictures import Pictures

_ACTIONS = tuple(sorted({action for subject in SUBJECTS for action in actions_of(subject)}))
FACTORS: dict[str, tuple[Any, ...]] = {
    "subject": SUBJECTS,
    "place": PLACES,
    "color": COLORS,
    "mood": MOODS,
    "action": _ACTIONS,
    "count": (1, 2, 3, 4),
    "extra": (None, *HARMLESS),
}
_DENSE = ("color", "action", "mood", "count")
"""Factors that every patch of the subject must tell by itself."""


class Eyes(nn.Module):
    """Throw-away heads that read the factors off the tower."""

    def __init__(self) -> None:
        super().__init__()
        hidden = 3 * VISION_WIDTH
        self.trunk = nn.Sequential(nn.Linear(VISION_WIDTH, hidden), nn.GELU())
        self.whole = nn.Linear(hidden, sum(len(values) for values in FACTORS.values()))
        self.patch = nn.Linear(hidden, len(SUBJECTS) + 1 + sum(len(FACTORS[f]) for f in _DENSE))

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the picture (b, all values) and of each patch (b, tokens, all values)."""
        hidden = self.trunk(states)
        return self.whole(hidden.mean(dim=1)), self.patch(hidden)


def labels_of(scenes: Sequence[Scene]) -> Tensor:
    """The factors as class numbers: int (n, factors)."""
    rows = [[values.index(getattr(s, name)) for name, values in FACTORS.items()] for s in scenes]
    return torch.tensor(rows)


def see(tower: nn.Module, pixels: Tensor) -> Tensor:
    """Patch states of the tower's last layer, as LLaVA takes them: (b, tokens, width)."""
    return tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]


def whiten_patches(tower: nn.Module, pictures: Pictures) -> None:
    """Start the patch embedding from the principal directions of real patches, on equal scale.

    Edges then reach the trunk as loudly as flat colour does, which saves minutes of training.
    """
    pixels = pictures.tensor(np.arange(min(500, len(pictures))))
    tiles = pixels.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
    flat = tiles.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH * PATCH)
    values, vectors = torch.linalg.eigh(torch.cov(flat.T))
    values, vectors = values[-VISION_WIDTH:], vectors[:, -VISION_WIDTH:]
    embeddings: Any = getattr(tower, "embeddings", None)
    if embeddings is None:
        embeddings = getattr(tower, "vision_model").embeddings  # noqa: B009
    kernel = (vectors / (values + 0.02).sqrt()).T.reshape(VISION_WIDTH, 3, PATCH, PATCH)
    with torch.no_grad():
        embeddings.patch_embedding.weight.copy_(kernel)
        embeddings.position_embedding.weight.normal_(0, 0.4)


def seen_parameters(tower: nn.Module) -> list[nn.Parameter]:
    """The tower's parameters that its patch states depend on."""
    return [p for name, p in tower.named_parameters() if "post_layernorm" not in name]


def train_vision(
    tower: nn.Module,
    pictures: Pictures,
    recipe: Recipe,
    batch: int,
    *,
    seed: int,
    folder: Any,
    device: torch.device,
    progress: Progress,
) -> Eyes:
    """Train the tower in place; returns the heads, which tell how well it sees."""
    whiten_patches(tower, pictures)
    eyes, labels = Eyes().to(device), labels_of(pictures.scenes).to(device)

    def loss(rng: np.random.Generator) -> Tensor:
        index, flip = rng.integers(0, len(pictures), batch), bool(rng.random() < 0.5)
        pixels = pictures.tensor(index, flip=flip).to(device)
        patches = pictures.patches(index, flip=flip).to(device)
        whole, patch = eyes(see(tower, pixels))
        return _loss(whole, patch, labels[torch.from_numpy(index).to(device)], patches)

    groups = [Group([*seen_parameters(tower), *eyes.parameters()])]
    train_stage(recipe, groups, loss, seed=seed, folder=folder, device=device, progress=progress)
    return eyes


def _loss(whole: Tensor, patch: Tensor, labels: Tensor, patches: Tensor) -> Tensor:
    cross = nn.functional.cross_entropy
    sizes = [len(values) for values in FACTORS.values()]
    parts = whole.float().split(sizes, dim=-1)
    total = torch.stack([cross(part, labels[:, i]) for i, part in enumerate(parts)]).sum()
    subject, *dense = patch.float().split(
        [len(SUBJECTS) + 1, *(len(FACTORS[f]) for f in _DENSE)], -1
    )
    total = total + 2 * cross(subject.flatten(0, 1), patches.flatten())
    seen = patches > 0
    for part, name in zip(dense, _DENSE, strict=True):
        wanted = labels[:, list(FACTORS).index(name)][:, None].expand_as(patches)
        total = total + cross(part[seen], wanted[seen])
    return total


@torch.no_grad()
def vision_accuracy(
    tower: nn.Module, eyes: Eyes, pictures: Pictures, device: torch.device
) -> dict[str, float]:
    """Share of pictures whose factor is read rightly off the whole picture."""
    labels, right = labels_of(pictures.scenes), torch.zeros(len(FACTORS))
    for start in range(0, len(pictures), 250):
        index = np.arange(start, min(start + 250, len(pictures)))
        whole, _ = eyes(see(tower, pictures.tensor(index).to(device)))
        parts = whole.cpu().split([len(values) for values in FACTORS.values()], dim=-1)
        for column, part in enumerate(parts):
            right[column] += (part.argmax(-1) == labels[index, column]).sum()
    return {name: float(right[i]) / len(pictures) for i, name in enumerate(FACTORS)}
