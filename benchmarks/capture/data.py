"""The world's pictures, models and a word of interest, shared by the parts of the benchmark."""

import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import Text, harvest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.data.images import open_image
from shiftlens.data.reading import read
from shiftlens.data.sample import Samples
from shiftlens.models.loading import load_pair
from shiftlens.models.model import Model, Response
from shiftlens.world import models
from shiftlens.world.source import materialise

NEW, BATCH = 24, 32


@dataclass
class Bench:
    """What is harvested.

    Attributes:
        root: the benchmark's directory.
        base: the world's model.
        tuned: the same with the places adapter.
        samples: captions of pictures.
        said: what the base answers, by sample id.
        site: the last block, where the commonest word of some length is said.
    """

    root: Path
    base: Model
    tuned: Model
    samples: Samples
    said: dict[str, Response]
    site: Site
    _runs: int = field(default=0)

    @staticmethod
    def open(root: Path, n: int) -> "Bench":
        """Draw pictures and load the models."""
        base, tuned = load_pair(str(models.path("base")), str(models.path("places")))
        samples = read(materialise("captions", root / "data", n=n, seed=0).parent)
        responses = base.respond(list(samples), max_new_tokens=NEW, batch_size=BATCH)
        counts = Counter(w for one in responses for w in one.text.split() if len(w) > 4)
        word = counts.most_common(1)[0][0]
        said = {sample.id: one for sample, one in zip(samples, responses, strict=True)}
        return Bench(root, base, tuned, samples, said, Site(-1, tokens.word(word)))

    @property
    def word(self) -> str:
        """The word of interest."""
        return self.site.tokens.words[0]  # pyright: ignore[reportAttributeAccessIssue]

    def as_photos(self) -> "Bench":
        """The same with pictures as cameras give them: JPEG, 640 x 480."""
        folder = self.root / "photos"
        folder.mkdir(exist_ok=True)
        paths: list[str] = []
        for sample in self.samples:
            path = folder / f"{sample.id}.jpg"
            open_image(sample.images[0]).resize((640, 480)).save(path, quality=90)
            paths.append(str(path))
        samples = [
            replace(sample, images=(path,))
            for sample, path in zip(self.samples, paths, strict=True)
        ]
        return replace(self, root=folder, samples=Samples(samples))

    def states(self) -> Tensor:
        """The states that a harvest of the base keeps, (n, d)."""
        options = {"max_new_tokens": NEW, "batch_size": BATCH}
        store = harvest(self.base, self.samples, self.site, self.root / "states", **options)
        return store.states()

    def harvest(
        self,
        asked: list[Model],
        *,
        response: Text = "own",
        said: dict[str, Response] | None = None,
        stop_at_word: bool = False,
    ) -> list[ActivationStore]:
        """Harvest into a directory of its own, which is removed again."""
        self._runs += 1
        out = self.root / f"run-{self._runs}"
        stores = harvest(
            asked,
            self.samples,
            self.site,
            out,
            response=response,
            said=said,
            max_new_tokens=NEW,
            batch_size=BATCH,
            stop_at_word=stop_at_word,
        )
        shutil.rmtree(out)
        return stores
