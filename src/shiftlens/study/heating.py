"""Heat maps over the most activating pictures of every concept, for a study's report."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlens.core.errors import ShiftLensError
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import WordsSpec
from shiftlens.study.heat_checking import checked

if TYPE_CHECKING:
    from shiftlens.activations.store import ActivationStore
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.concepts.grounding.heat_map import HeatMap
    from shiftlens.data.sample import Sample
    from shiftlens.models.model import Model, Response

_WINDOWS = 5  # windows side by side, so about 36 readings a picture: coarse, and cheap
_BATCH = 50
_MOST_SQUARES = 24


def heat_of_concepts(
    context: Context,
    spec: WordsSpec,
    pair: "Sequence[Concepts]",
    stores: "Sequence[ActivationStore]",
) -> Result:
    """Hide parts of the first pictures of each concept, and see what of the concept is lost.

    Args:
        context: of the run.
        spec: ``heat_maps`` says how many pictures of each concept.
        pair: concepts of the base model and of the tuned one, with pictures.
        stores: the states of each on the base's text, with that text.

    Returns:
        ``{"method", "maps", "maps_tuned", "check"}``: the maps of each concept, by sample id, and
        for each side whether they lie where the thing is, where labels tell its place.
    """
    samples = {one.id: one for one in context.samples(spec.data) if one.images}
    context.progress.start(f"heat maps of {spec.name}", sum(one.k for one in pair))
    base, tuned = (
        _maps(context, spec, *side, samples)
        for side in zip(context.models, pair, stores, strict=True)
    )
    context.progress.stop()
    check = {"base": checked(base, samples), "tuned": checked(tuned, samples)}
    return {"method": "occlusion", "maps": base, "maps_tuned": tuned, "check": check}


def _maps(
    context: Context,
    spec: WordsSpec,
    model: "Model",
    concepts: "Concepts",
    store: "ActivationStore",
    samples: "Mapping[str, Sample]",
) -> list[dict[str, Any]]:
    """For each concept of one model the maps of its first pictures, by sample id."""
    said, found = _said(store), list[dict[str, Any]]()
    for index, ids in enumerate(concepts.images):
        shown = [samples[name] for name in ids if name in samples][: spec.heat_maps]
        found.append({one.id: _heat(model, concepts, one, index, said) for one in shown})
        context.progress.advance()
    return found


def _heat(
    model: "Model",
    concepts: "Concepts",
    sample: "Sample",
    index: int,
    said: Mapping[str, "Response"],
) -> dict[str, Any]:
    """The map of one picture, or the reason why there is none."""
    from shiftlens.concepts.grounding.axes import Axes
    from shiftlens.concepts.grounding.occlusion_maps import edges_of, losses, scenes_of

    try:
        (scene,) = scenes_of(model, [sample], said, picture=0, batch_size=_BATCH)
        parts = max(len(lines) - 1 for lines in edges_of(model, scene))
        step = -(-parts // _WINDOWS)
        lost = losses(model, concepts, scene, step=step, batch_size=_BATCH)
        (found,) = lost.maps(scene, Axes.of(concepts, [index]))
    except ShiftLensError as error:
        return {"reason": error.given}
    return _levels(found)


def _levels(found: "HeatMap") -> dict[str, Any]:
    """The whole picture in few squares: whole percents of the largest loss, 0 where none is lost.

    Squares of the picture, not the model's patches: these may reach beyond it.
    """
    from PIL import Image

    height, width = found.values.shape
    squares = min(_MOST_SQUARES, max(found.patches.shape))
    scale = squares / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    values = np.maximum(np.nan_to_num(found.values), 0).astype(np.float32)
    small = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX))
    most = float(small.max())
    scaled = np.round(100 * small / most) if most > 0 else small
    return {"largest": most, "levels": scaled.astype(int).tolist()}


def _said(store: "ActivationStore") -> "dict[str, Response]":
    from shiftlens.models.model import Response

    ids = store.token_ids
    return {name: Response(text, ids[name], False) for name, text in store.responses.items()}
