"""Do heat maps point at the subject? Concepts of subjects, pictures whose masks are known.

Concepts are learned from one half of the captions. Of the other half some pictures choose layer and
method, and the rest are judged. Each picture's map is of its own concept: that of the state behind
the word for the subject.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.concepts.world_data import BATCH, NEW, samples_of, states_of
from benchmarks.figures import Figure, from_interval
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.grounding.calibrating import calibrate
from shiftlens.concepts.grounding.heat_map import HeatMap
from shiftlens.concepts.grounding.heat_maps import heat_maps
from shiftlens.concepts.grounding.localising import (
    overlap_by_chance,
    overlap_of,
    pointing_by_chance,
    pointing_game,
)
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learning import learn
from shiftlens.core.intervals import bootstrap
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model, Response
from shiftlens.world.language import plural
from shiftlens.world.render import render
from shiftlens.world.scenes import ANIMALS, PEOPLE, VEHICLES, Scene

METHODS = ("projection", "cosine", "readout", "calibrated", "occlusion")
WORDS = tuple(form for noun in (*PEOPLE, *ANIMALS, *VEHICLES) for form in (noun, plural(noun)))
N, SEED, K = 600, 81, 12
CALIBRATING, CHOOSING, JUDGING = 16, 24, 100
TIMES = 2.0


@dataclass(frozen=True, eq=False)
class Hunt:
    """Where maps are made and judged.

    Attributes:
        model: who sees.
        store: states behind the subjects' words.
        said: what was said to every sample.
        k: concepts.
        learning: samples that concepts are learned from.
        calibrating: samples that the calibrated method learns from, some of the former.
        choosing: samples that choose layer and method.
        judging: samples that are judged; none of them is in another list.
    """

    model: Model
    store: ActivationStore
    said: dict[str, Response]
    k: int
    learning: Sequence[Sample]
    calibrating: Sequence[Sample]
    choosing: Sequence[Sample]
    judging: Sequence[Sample]


@dataclass(frozen=True, eq=False)
class Found:
    """Scores of one method in one block, (n,) each: of the maps, by chance, of a map that is not
    the picture's own, and the overlap of the hottest pixels, which chance has too."""

    pointing: np.ndarray
    by_chance: np.ndarray
    of_others: np.ndarray
    overlap: np.ndarray
    overlap_by_chance: np.ndarray


def open_hunt(
    model: Model,
    root: Path,
    *,
    n: int = N,
    k: int = K,
    parts: tuple[int, int, int] = (CALIBRATING, CHOOSING, JUDGING),
) -> Hunt:
    """Draw captions, ask the model, and part those whose subject is named.

    Args:
        model: the world's.
        root: the benchmark's folder.
        n: captions.
        k: concepts.
        parts: how many calibrate, choose and are judged, at most.
    """
    samples = samples_of(root, "captions", n, SEED)
    store = states_of(model, root, "captions", n, SEED, WORDS)
    answers = model.respond(list(samples), max_new_tokens=NEW, batch_size=BATCH)
    said = {sample.id: answer for sample, answer in zip(samples, answers, strict=True)}
    named = set(store.sample_ids)
    usable = [sample for sample in samples if sample.id in named and bool(mask_of(sample).any())]
    half = len(usable) // 2
    calibrating, choosing, judging = parts
    rest = usable[half:]
    return Hunt(
        model, store, said, k, usable[:half], usable[:calibrating], rest[:choosing],
        rest[choosing : choosing + judging],
    )  # fmt: skip


def figures_of(hunt: Hunt, layers: Sequence[int]) -> list[Figure]:
    """Choose a block and a method, judge them, and the usual method in the last block beside."""
    chosen = max(
        ((layer, method) for layer in layers for method in METHODS),
        key=lambda one: float(found_by(hunt, hunt.choosing, *one).pointing.mean()),
    )
    what = (
        f"{len(hunt.judging)} captions that neither taught nor chose anything; chance: "
        "the subject's share of the pixels"
    )
    best, usual = (
        found_by(hunt, hunt.judging, *one) for one in (chosen, (max(layers), "projection"))
    )
    how = f"{chosen[1]}, block {chosen[0]}, chosen on {len(hunt.choosing)} other pictures; {what}"
    return [
        _times("heat maps: pointing game / chance", best.pointing, best.by_chance,
               f">= {TIMES:g}", f"won {best.pointing.mean():.2f}; {how}"),
        _times("heat maps: pointing game / another picture's map", best.pointing, best.of_others,
               "", f"that one wins {best.of_others.mean():.2f}; {how}"),
        _times("heat maps: overlap with the subject / random maps", best.overlap,
               best.overlap_by_chance, "", f"intersection over union {best.overlap.mean():.2f}; "
               f"{how}"),
        _times("heat maps: pointing game of the usual projection / chance", usual.pointing,
               usual.by_chance, "", f"won {usual.pointing.mean():.2f}; block {max(layers)}; "
               f"{what}"),
    ]  # fmt: skip


def found_by(hunt: Hunt, samples: Sequence[Sample], layer: int, method: str) -> Found:
    """Scores of the samples' own maps."""
    maps = _own_maps(hunt, samples, layer, method)
    masks = [mask_of(sample) for sample in samples]
    pairs = list(zip(maps, masks, strict=True))
    return Found(
        np.asarray([pointing_game(one.values, mask) for one, mask in pairs]),
        np.asarray([pointing_by_chance(one.values, mask) for one, mask in pairs]),
        np.asarray(
            [pointing_game(maps[at - 1].values, mask) for at, (_, mask) in enumerate(pairs)]
        ),
        np.asarray([overlap_of(one.values, mask) for one, mask in pairs]),
        np.asarray(
            [
                overlap_by_chance(one, mask, n_draws=20, seed=at)
                for at, (one, mask) in enumerate(pairs)
            ]
        ),
    )


def _own_maps(hunt: Hunt, samples: Sequence[Sample], layer: int, method: str) -> list[HeatMap]:
    """Each sample's map of the concept that its own state belongs to."""
    taught = {sample.id for sample in hunt.learning}
    part = hunt.store.where(lambda row: row.sample_id in taught)
    concepts = learn(part, KMeans(k=hunt.k, seed=0), layer=layer)
    owners = dict(
        zip(
            hunt.store.sample_ids,
            concepts.assign(hunt.store.states(layer).float()).tolist(),
            strict=True,
        )
    )
    options: dict[str, Any] = {"said": hunt.said}
    if method == "calibrated":
        options["calibration"] = calibrate(hunt.model, concepts, hunt.calibrating, said=hunt.said)
    elif method != "occlusion":
        options["reference"] = hunt.calibrating
    maps = heat_maps(hunt.model, concepts, samples, method=method, **options)
    return [of_sample[owners[sample.id]] for sample, of_sample in zip(samples, maps, strict=True)]


def mask_of(sample: Sample) -> np.ndarray:
    """Pixels of all subjects of a sample's scene."""
    masks = render(Scene.from_record(dict(sample.labels))).masks
    return np.any([mask for name, mask in masks.items() if name.startswith("subject")], axis=0)


def _times(name: str, values: np.ndarray, chance: np.ndarray, goal: str, how: str) -> Figure:
    if not chance.any():
        return Figure(name, float("nan"), None, None, "ratio", goal, f"chance never wins; {how}")
    interval = bootstrap(_ratio, values, chance)
    return from_interval(
        name, interval, "ratio", goal, f"ratio of means, pictures resampled; {how}"
    )


def _ratio(values: np.ndarray, chance: np.ndarray) -> float:
    mean = float(chance.mean())
    return float(values.mean()) / mean if mean > 0 else float("nan")
