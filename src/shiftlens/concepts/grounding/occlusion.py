"""Does hiding the hottest patches take the concept away? The check of a heat map.

The picture's hottest patches are hidden and the model reads the same text again. The loss of the
concept where it is said stands beside the loss for as many random patches, and for the coldest
ones: a heat map that cannot beat random patches says nothing about the picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.axes import Axes
from shiftlens.concepts.grounding.heat_map import HeatMap
from shiftlens.concepts.grounding.heat_maps import heat_maps
from shiftlens.concepts.grounding.hiding import Fill, check_fill, hidden
from shiftlens.concepts.grounding.occlusion_maps import scenes_of
from shiftlens.concepts.grounding.own_states import NothingSelected, Scene, own_states
from shiftlens.core.errors import GroundingError
from shiftlens.core.intervals import Interval, bootstrap_mean, bootstrap_paired
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model, Response

if TYPE_CHECKING:
    from PIL.Image import Image

Patches = tuple[tuple[int, int], ...]

_SHARE = 10  # one patch in ten is hidden by default


@dataclass(frozen=True)
class Occlusion:
    """One concept in one picture, before and after parts of it were hidden.

    Attributes:
        sample_id: whose picture.
        concept: which concept.
        method: of the heat map that ranked the patches.
        activation: of the concept at its own site with the whole picture: how far the state lies
            along the concept's direction, from the mean of the centroids.
        patches: rows and columns of the hottest patches, which were hidden together.
        top: loss of activation without them.
        random: losses without as many random patches, one for each draw.
        bottom: loss without the coldest ones.
    """

    sample_id: str
    concept: int
    method: str
    activation: float
    patches: Patches
    top: float
    random: tuple[float, ...]
    bottom: float

    @property
    def gain(self) -> float:
        """Loss for the hottest patches less the mean loss for random ones."""
        return self.top - float(np.mean(self.random))

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "sample_id": self.sample_id,
            "concept": self.concept,
            "method": self.method,
            "activation": self.activation,
            "patches": [list(one) for one in self.patches],
            "top": self.top,
            "random": list(self.random),
            "bottom": self.bottom,
        }


@dataclass(frozen=True)
class OcclusionCheck:
    """Many pictures together; intervals are bootstrapped over samples.

    Attributes:
        found: one a heat map.
        left_out: ids of samples whose response lacks the concepts' site, which have no loss.
        activation: mean, with the whole pictures.
        top, random, bottom: mean losses of activation.
        gain: hottest less random, paired by sample: above 0 if the maps know something.
    """

    found: tuple[Occlusion, ...]
    left_out: tuple[str, ...]
    activation: Interval
    top: Interval
    random: Interval
    bottom: Interval
    gain: Interval

    @property
    def share(self) -> float:
        """The gain as a share of the mean activation: what methods and layers are compared by.

        nan where the concepts are not active on the samples in the mean.
        """
        whole = self.activation.estimate
        return self.gain.estimate / whole if whole > 0 else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        names = ("activation", "top", "random", "bottom", "gain")
        return {
            "n": len(self.found),
            "left_out": list(self.left_out),
            **{name: getattr(self, name).to_dict() for name in names},
        }


def occlusion(
    model: Model,
    concepts: Concepts,
    sample: Sample,
    concept: int | str,
    *,
    heat_map: HeatMap | None = None,
    method: str = "projection",
    n_patches: int | None = None,
    n_draws: int = 8,
    fill: Fill = "mean",
    response: Response | None = None,
    picture: int = 0,
    seed: int = 0,
    batch_size: int = 16,
) -> Occlusion:
    """Hide the hottest patches of a picture, as many random ones, and the coldest.

    Args:
        model: who sees the picture.
        concepts: of one layer.
        sample: in whose response the concepts' site selects a state.
        concept: its number, or a word that it says.
        heat_map: what ranks the patches; made by ``method`` if it is not given.
        method: see ``heat_maps``.
        n_patches: how many are hidden; one in ten by default, at least one.
        n_draws: how many random choices.
        fill: see ``hidden``.
        response: on whose text the state is taken; the model's own greedy one by default.
        picture: which picture of the sample, from 0.
        seed: of the random choices.
        batch_size: pictures at once.

    Raises:
        GroundingError: a response without the word of the site, an unknown concept or fill, the
            heat map of another sample, concept or picture, or more patches than there are.
        DataError, SiteError: as for ``heat_maps``.
    """
    number = concepts.find(concept)
    said = None if response is None else {sample.id: response}
    scene = scenes_of(model, [sample], said, picture=picture, batch_size=batch_size)[0]
    if heat_map is None:
        heat_map = heat_maps(
            model,
            concepts,
            [sample],
            which=[number],
            method=method,
            picture=picture,
            said={sample.id: scene.response},
            batch_size=batch_size,
        )[0][0]
    _require_own(heat_map, scene, number)
    return _hide(model, concepts, scene, heat_map, (n_patches, n_draws, fill, seed, batch_size))


def occlusions(
    model: Model,
    concepts: Concepts,
    samples: Sequence[Sample],
    maps: Sequence[HeatMap],
    *,
    n_patches: int | None = None,
    n_draws: int = 8,
    fill: Fill = "mean",
    said: Mapping[str, Response] | None = None,
    seed: int = 0,
    batch_size: int = 16,
) -> OcclusionCheck:
    """The check of many heat maps, with intervals over samples.

    Args:
        model: who sees the pictures.
        concepts: of one layer.
        samples: each with one map.
        maps: of the samples, in their order; each says of which concept it is.
        n_patches, n_draws, fill, batch_size: as for ``occlusion``.
        said: responses by sample id; the model's own greedy ones by default.
        seed: of the random choices and of the bootstrap; sample i draws with ``seed + i``.

    Raises:
        GroundingError: not one map a sample, no response says the word of the site, or as for
            ``occlusion``.
    """
    if len(maps) != len(samples):
        raise GroundingError(f"{len(maps)} heat maps for {len(samples)} samples")
    if len({one.picture for one in maps}) > 1:
        raise GroundingError("heat maps of different pictures", allowed="one picture number")
    picture = maps[0].picture if maps else 0
    scenes = scenes_of(model, samples, said, picture=picture, batch_size=batch_size)
    found: list[Occlusion] = []
    left_out: list[str] = []
    for at, (scene, heat_map) in enumerate(zip(scenes, maps, strict=True)):
        _require_own(heat_map, scene, heat_map.concept)
        how = (n_patches, n_draws, fill, seed + at, batch_size)
        try:
            found.append(_hide(model, concepts, scene, heat_map, how))
        except NothingSelected:
            left_out.append(scene.sample.id)
    if not found:
        raise GroundingError("no response says the word of the concepts' site")
    return _summed(found, left_out, seed)


def _summed(found: Sequence[Occlusion], left_out: Sequence[str], seed: int) -> OcclusionCheck:
    top, bottom = [one.top for one in found], [one.bottom for one in found]
    random = [float(np.mean(one.random)) for one in found]
    return OcclusionCheck(
        tuple(found),
        tuple(left_out),
        bootstrap_mean([one.activation for one in found], seed=seed),
        bootstrap_mean(top, seed=seed),
        bootstrap_mean(random, seed=seed),
        bootstrap_mean(bottom, seed=seed),
        bootstrap_paired(random, top, seed=seed),
    )


def _require_own(heat_map: HeatMap, scene: Scene, concept: int) -> None:
    width, height = scene.image.size
    given = (heat_map.sample_id, heat_map.concept, heat_map.picture, heat_map.values.shape)
    if given != (scene.sample.id, concept, scene.picture, (height, width)):
        raise GroundingError(
            f"a heat map of concept {heat_map.concept} in picture {heat_map.picture} of "
            f"{heat_map.sample_id!r}, {heat_map.values.shape[1]}x{heat_map.values.shape[0]} pixels",
            allowed=f"concept {concept} in picture {scene.picture} of {scene.sample.id!r}, "
            f"{width}x{height} pixels",
        )


def _hide(
    model: Model,
    concepts: Concepts,
    scene: Scene,
    heat_map: HeatMap,
    how: tuple[int | None, int, Fill, int, int],
) -> Occlusion:
    n_patches, n_draws, fill, seed, batch_size = how
    check_fill(fill)
    ranked = heat_map.ranked()
    n = max(1, len(ranked) // _SHARE) if n_patches is None else n_patches
    if not 1 <= n < len(ranked):
        raise GroundingError(f"{n} of {len(ranked)} patches", allowed=f"1..{len(ranked) - 1}")
    if n_draws < 1:
        raise GroundingError(f"{n_draws} random choices", allowed="at least 1")
    # In the order of the grid: maps of one picture are judged beside the same random choices.
    places, random = sorted(ranked), np.random.default_rng(seed)
    choices = [ranked[:n], ranked[-n:]]
    for _ in range(n_draws):
        drawn = random.choice(len(ranked), size=n, replace=False).tolist()
        choices.append([places[at] for at in drawn])
    images = [scene.image, *(_without(scene.image, heat_map, one, fill) for one in choices)]
    states = own_states(model, concepts.site, scene, images, batch_size=batch_size)
    axes = Axes.of(concepts, [heat_map.concept])
    active: list[float] = axes.activations(states)[:, 0].tolist()
    whole, top, bottom, *others = active
    return Occlusion(
        scene.sample.id,
        heat_map.concept,
        heat_map.method,
        whole,
        tuple(ranked[:n]),
        whole - top,
        tuple(whole - one for one in others),
        whole - bottom,
    )


def _without(
    image: "Image", heat_map: HeatMap, patches: Sequence[tuple[int, int]], fill: Fill
) -> "Image":
    return hidden(image, [heat_map.box(*one) for one in patches], fill=fill)
