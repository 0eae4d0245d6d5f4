"""``diff``: from two models and some samples to what changed, why, and how sure that is.

No word list is needed. Words and positions are ranked on the selection third of the pictures,
concepts and shift vectors come from the estimation third, and every verdict from the judging third.
"""

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shiftlens import __version__
from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.selections.selection import Selection
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.survey import Answers, Survey, survey
from shiftlens.core.errors import DataError, LearnError
from shiftlens.core.manifest import digest, write_json
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.privacy import hide
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.generation import decode
from shiftlens.models.model import Model
from shiftlens.shift.parts import Parts, thirds
from shiftlens.study.diff.answers import describe_answers
from shiftlens.study.diff.concepts import examine
from shiftlens.study.diff.describing import without_pictures
from shiftlens.study.diff.ranking import Candidate, rank
from shiftlens.study.diff.settings import DiffSettings

SCHEMA = 1

_LAYERS = 8  # at most so many blocks are harvested, the judged one among them
_FEWEST = 60  # pictures: three thirds of twenty, below which nothing can be decided


@dataclass(frozen=True)
class Diff:
    """What a diff leaves behind.

    Attributes:
        root: its directory: ``diff.json``, ``shift``, the survey and the stores.
        document: the content of diff.json, from which page and terminal are drawn.
    """

    root: Path
    document: dict[str, Any]


def diff(
    base: Model,
    tuned: Model,
    samples: Samples,
    out: str | Path,
    *,
    placebos: Sequence[Model] = (),
    settings: DiffSettings | None = None,
    progress: Progress | None = None,
) -> Diff:
    """Compare a model with its fine-tuned version on some samples.

    Args:
        base: the original model.
        tuned: the fine-tuned one, from the same ``load_pair`` or ``load_variants``.
        samples: what both are asked.
        out: the directory of the results; a diff that was interrupted goes on there.
        placebos: fine-tunes of the same base that teach nothing; what they move is the margin.
        settings: options; the defaults are meant for most pairs.
        progress: who is told how far it is.

    Returns:
        what changed in answers and concepts, with verdicts; the same lies in ``out``.

    Raises:
        DataError: too few samples for three parts, or none that can be read.
        LearnError: too few samples at the chosen word, or too few placebos.
        MismatchError: ``out`` holds the results of other models or data.
    """
    start, options, listener = time.perf_counter(), settings or DiffSettings(), progress or Silent()
    root = Path(out)
    if not options.images:
        samples = hide(samples)
    asked = survey(
        base,
        tuned,
        samples,
        root / "answers",
        max_new_tokens=options.max_new_tokens,
        batch_size=options.batch_size,
        progress=listener,
    )
    seen = _readable(samples, asked)
    parts = thirds([row.group for row in asked.rows], seed=options.seed)
    chosen, ranking = _choose(base, asked.rows, parts, options)
    stores = _Stores(root, seen, asked, options, listener)
    concepts = examine(
        (base, tuned, *placebos), _site(base, chosen, options), stores.at, asked, seen, parts,
        options, listener,
    )  # fmt: skip
    concepts.shift.save(root / "shift")
    document = {
        "schema": SCHEMA,
        "kind": "diff",
        "title": f"What changed from {_short(base)} to {_short(tuned)}",
        "models": {"base": _named(base), "tuned": _named(tuned)},
        "pair": tuned.proof.to_dict() if tuned.proof is not None else None,
        "versions": _versions(),
        "settings": {"seed": options.seed, "draws": options.draws},
        "data": _described(samples, asked, parts),
        "answers": describe_answers(
            asked.rows, [asked.rows[i] for i in parts.judging.tolist()], partial(decode, base)
        ),
        "ranking": [one.to_dict() for one in ranking[:12]],
        **concepts.document,
        "seconds": round(time.perf_counter() - start, 1),
    }
    if not options.images:
        document = without_pictures(document)
    write_json(root / "diff.json", document)
    return Diff(root, document)


def _readable(samples: Samples, asked: Survey) -> Samples:
    read = {row.sample_id for row in asked.rows}
    pictures = len({row.group for row in asked.rows})
    if pictures < _FEWEST:
        raise DataError(
            f"{pictures} pictures are too few for three parts",
            allowed=f"at least {_FEWEST}, better several hundred",
            remedy="give more samples",
        )
    return samples.where(lambda sample: sample.id in read)


def _choose(
    base: Model, rows: Sequence[Answers], parts: Parts, options: DiffSettings
) -> tuple[Selection, list[Candidate]]:
    """The site's tokens: the user's words, or the first of the ranking."""
    selection = [rows[i] for i in parts.selection.tolist()]
    ranking = rank(selection, partial(decode, base))
    if options.words:
        return tokens.word(*options.words), ranking
    if not ranking or ranking[0].weight <= 0:
        raise LearnError(
            "the two models say the same, and with the same certainty, everywhere",
            remedy="name words to look at all the same, or check that the models differ",
        )
    return ranking[0].selection, ranking


def _site(base: Model, chosen: Selection, options: DiffSettings) -> Site:
    """The judged layer first, then others for the drift by layer, evenly spread."""
    n = base.address.n_layers
    judged = base.address.layer(options.layer, base.name)
    step = max(1, -(-n // (_LAYERS - 1)))
    others = [layer for layer in range(n - 1, -1, -step) if layer != judged]
    return Site((judged, *sorted(others)), chosen)


@dataclass(frozen=True)
class _Stores:
    """Harvests of the run's directory, on texts that are known already."""

    root: Path
    samples: Samples
    asked: Survey
    options: DiffSettings
    progress: Progress

    def at(
        self,
        models: Sequence[Model],
        site: Site,
        name: str,
        ids: Sequence[str] | None = None,
        *,
        own: bool = False,
    ) -> list[ActivationStore]:
        """States of models on the base's text, or of one model on its own; of some samples."""
        said, some = self.asked.said("tuned" if own else "base"), set(ids or ())
        samples = self.samples if ids is None else self.samples.where(lambda one: one.id in some)
        return harvest(
            list(models),
            samples,
            site,
            # Another word or layer has stores of its own in the same directory.
            self.root / "stores" / f"{name}-{digest(site.describe())[:8]}",
            response="own" if own else "base",
            said=said,
            max_new_tokens=self.options.max_new_tokens,
            batch_size=self.options.batch_size,
            # A role that no sample has, such as an image where there are none, is told as such.
            allow_empty=own or ids is not None,
            progress=self.progress,
        )


def _described(samples: Sequence[Sample], asked: Survey, parts: Parts) -> dict[str, Any]:
    return {
        "samples": len(samples),
        "read": len(asked.rows),
        "pictures": len({row.group for row in asked.rows}),
        "parts": parts.sizes(),
        "quarantine": list(asked.quarantine)[:20],
    }


def _named(model: Model) -> dict[str, Any]:
    return {"name": model.adapter or model.name, "label": model.label, **model.provenance}


def _short(model: Model) -> str:
    """The last part of a model's name: where it lies on this disk is nobody's business."""
    return (model.adapter or model.name).rstrip("/").rpartition("/")[2]


def _versions() -> dict[str, str]:
    names = ("torch", "transformers", "numpy")
    found = {name: version(name) for name in names}
    return {"shiftlens": __version__, "python": platform.python_version(), **found}
