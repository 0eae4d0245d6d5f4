"""Judges, states and words whose truth is known."""

from collections.abc import Sequence

import torch
from PIL import Image

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.quality.judging import Tokens

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
KINDS = {"red": ("apple", "rose"), "green": ("grass", "leaf"), "blue": ("sea", "sky")}


class ColourJudge:
    """Sees the mean colour of a picture, and knows what colour a word has; commas divide words."""

    def __init__(self) -> None:
        self.looked = 0

    def pictures(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        self.looked += len(pictures)
        return torch.tensor([list(one.resize((1, 1)).getpixel((0, 0))) for one in pictures]).float()

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        found = [[self._vector(word) for word in text.split(", ")] for text in texts]
        return torch.stack([torch.tensor(one).mean(dim=0) for one in found])

    def knows(self, word: str) -> bool:
        return any(word == colour or word in said for colour, said in KINDS.items())

    def _vector(self, word: str) -> list[float]:
        for colour, said in KINDS.items():
            if word == colour or word in said:
                return [float(part) for part in COLOURS[colour]]
        return [1.0, 1.0, 1.0]


class OneHotEncoder:
    """Every word is a token, and every token a direction of its own."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        found: list[Tokens] = []
        for text in texts:
            ids = [self.ids.setdefault(word, len(self.ids)) for word in text.split()]
            found.append(Tokens(tuple(ids), torch.eye(64)[ids]))
        return found


def picture(colour: str, shade: int = 0) -> Image.Image:
    """A picture of one colour, a little darker by the shade."""
    rgb = tuple(max(20, part - shade) for part in COLOURS[colour])
    return Image.new("RGB", (8, 8), rgb)


def blobs(n: int = 90, d: int = 12, k: int = 3, *, noise: float = 0.3, seed: int = 0):
    """States in k groups, and the group of each row."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(k, d, generator=random) * 3 + 5
    labels = torch.arange(n) % k
    return centres[labels] + noise * torch.randn(n, d, generator=random), labels


def centroids(states: torch.Tensor, labels: torch.Tensor, **fields) -> Concepts:
    """The mean of each group as a concept."""
    k = int(labels.max()) + 1
    vectors = torch.stack([states[labels == one].mean(dim=0) for one in range(k)])
    sizes = tuple(torch.bincount(labels, minlength=k).tolist())
    return Concepts(vectors, "centroid", Site(0), sizes, **fields)
