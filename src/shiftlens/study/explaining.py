"""The first answers of a study explained word by word, for its report."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.core.errors import ShiftLensError
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import WordsSpec

if TYPE_CHECKING:
    from shiftlens.activations.store import ActivationStore
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.data.sample import Sample

_MAPS = 1  # of the concept at the word: each costs some hundred readings of the picture


def explain_first(
    context: Context, spec: WordsSpec, concepts: "Concepts", store: "ActivationStore"
) -> list[Result]:
    """Explain the base model's answers to the first pictures that it says the words about.

    The first, not the clearest: nothing is chosen by how it looks. Concepts learned from these
    samples too, which the explanation says of its calibration.

    Args:
        context: of the run.
        spec: ``explain`` says how many.
        concepts: of the base model, with words.
        store: its states, that the concepts were learned from.

    Returns:
        for each answer ``{"sample", "folder", "document"}``, the folder relative to the run.
    """
    from shiftlens.concepts.grounding.explaining import explain

    base, found = context.models[0], list[Result]()
    folder = context.folder("words", spec.name)
    context.progress.start(f"explaining {spec.name}", spec.explain)
    for sample in _first(context, spec, store):
        explanation = explain(
            base,
            sample,
            None,
            concepts,
            store=store,
            n_maps=_MAPS,
            max_new_tokens=context.experiment.max_new_tokens,
        )
        place = explanation.save(folder / f"explained-{len(found)}")
        inside = str(place.relative_to(context.root))
        document = _relative(explanation.to_dict(), context.root)
        found.append({"sample": sample.id, "folder": inside, "document": document})
        context.progress.advance()
    context.progress.stop()
    return found


def load_or(make: Callable[[], object], path: Path) -> "Concepts":
    """Concepts that an earlier stage saved; made again where they are gone."""
    from shiftlens.concepts.concepts import Concepts

    try:
        return Concepts.load(path)
    except ShiftLensError:
        make()
        return Concepts.load(path)


def _first(context: Context, spec: WordsSpec, store: "ActivationStore") -> "Iterator[Sample]":
    """The first samples that the store has a state of, each with a picture of its own."""
    said, seen = {*store.sample_ids}, set[tuple[str, ...]]()
    for sample in context.samples(spec.data):
        if len(seen) == spec.explain:
            return
        if sample.id in said and sample.images and sample.images not in seen:
            seen.add(sample.images)
            yield sample


def _relative(document: dict[str, Any], root: Path) -> dict[str, Any]:
    """The same document with pictures inside the run named from there, so that it can move."""
    for concept in document["concepts"]:
        for picture in concept["images"]:
            path = Path(picture["path"] or "")
            if path.is_relative_to(root):
                picture["path"] = str(path.relative_to(root))
    return document
