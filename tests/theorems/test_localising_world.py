"""On the world's own model, against the masks of its pictures: which heat maps find the subject."""

from pathlib import Path

import numpy as np
import pytest

from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import word
from shiftlens.concepts.grounding.heat_maps import heat_maps
from shiftlens.concepts.grounding.localising import pointing_by_chance, pointing_game
from shiftlens.concepts.grounding.occlusion import OcclusionCheck, occlusions
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learning import learn
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample
from shiftlens.data.sources import provided_samples
from shiftlens.models.model import Model
from shiftlens.world.render import render
from shiftlens.world.scenes import Scene

WORDS = ("man", "woman", "person", "people", "dog", "cat", "horse", "bird", "car", "bus", "child")


def _mask(sample: Sample) -> np.ndarray:
    masks = render(Scene.from_record(dict(sample.labels))).masks
    return np.any([one for name, one in masks.items() if name.startswith("subject")], axis=0)


@pytest.mark.slow
def test_occlusion_finds_the_subject_and_its_check_tells_so(base: Model, tmp_path: Path) -> None:
    """Twice as often as chance; and the check, which sees no mask, prefers the same maps."""
    samples = read(provided_samples("world:captions", tmp_path / "data", n=150, seed=5))
    store = harvest(base, samples, Site(4, word(*WORDS)), tmp_path / "store", batch_size=50)
    concepts = learn(store, KMeans(k=8, seed=0))
    mine = dict(
        zip(store.sample_ids, concepts.assign(store.states().float()).tolist(), strict=True)
    )
    judged = [one for one in samples if one.id in mine][:12]
    said = dict(zip([one.id for one in judged], base.respond(judged), strict=True))
    times: dict[str, float] = {}
    checks: dict[str, OcclusionCheck] = {}
    for method in ("projection", "occlusion"):
        maps = [
            heat_maps(
                base, concepts, [one], which=[mine[one.id]], method=method, said=said,
                reference=judged if method == "projection" else None,
            )[0][0]
            for one in judged
        ]  # fmt: skip
        pairs = [(one.values, _mask(sample)) for one, sample in zip(maps, judged, strict=True)]
        hits, chance = (
            np.mean([measure(*pair) for pair in pairs])
            for measure in (pointing_game, pointing_by_chance)
        )
        times[method] = float(hits / chance)
        checks[method] = occlusions(base, concepts, judged, maps, said=said, n_draws=4)
    assert times["occlusion"] >= 2
    assert times["occlusion"] > times["projection"]
    assert checks["occlusion"].gain.low > 0
    assert checks["occlusion"].share > checks["projection"].share
