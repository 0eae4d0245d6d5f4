"""``survey``: what two models answer, and how far apart their next words are on the base's text.

The first look at a pair, before any word is chosen: both answers to every sample, and for every
token of the base's answer the divergence KL(base || tuned) between the two models' distributions at
the state that emits it, in nats. Three passes over the data, nothing but these numbers is kept.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.activations.apart import run_apart
from shiftlens.activations.capture import Caught, catch_given
from shiftlens.activations.encoding import Encodings
from shiftlens.activations.finite import warn_not_finite
from shiftlens.activations.manifest import Manifest
from shiftlens.activations.site import Site
from shiftlens.activations.writing import being_written
from shiftlens.core.errors import DataError, StoreError
from shiftlens.core.manifest import replacing, sha256_file
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.privacy import name_of, told
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.generation import generate
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Turn

_KIND = "answers"
_AT_ONCE = 256  # states that are read out together: a vocabulary of 150,000 makes 150 MB of them


@dataclass(frozen=True)
class Answers:
    """What both models answered to one sample.

    Attributes:
        sample_id: of the sample.
        image: its first picture, or an empty string.
        prompt: what was asked.
        labels: of the sample.
        base, tuned: the two answers.
        divergence: KL(base || tuned) in nats at each state that emits a token of the base's answer;
            the last one emits the end, unless the answer was cut off.
    """

    sample_id: str
    image: str
    prompt: str
    labels: dict[str, Any]
    base: Response
    tuned: Response
    divergence: tuple[float, ...]

    @property
    def changed(self) -> bool:
        """Whether the answers differ in any word."""
        return self.base.text.split() != self.tuned.text.split()

    @property
    def finite(self) -> bool:
        """Whether every divergence is a number: neither model computed NaN or infinity there."""
        return all(map(math.isfinite, self.divergence))

    @property
    def group(self) -> str:
        """What must not be torn apart by a cut: the picture, or the sample without one."""
        return self.image or self.sample_id


@dataclass(frozen=True)
class Survey:
    """Answers of both models to all samples that could be read.

    Attributes:
        path: its directory.
        rows: one a sample, in order.
        quarantine: samples that could not be read, each with ``id`` and ``reason``.
    """

    path: Path
    rows: tuple[Answers, ...]
    quarantine: tuple[dict[str, str], ...]

    def said(self, model: str) -> dict[str, Response]:
        """Answers of ``base`` or ``tuned`` by sample id, for ``harvest(said=...)``."""
        return {row.sample_id: getattr(row, model) for row in self.rows}


def survey(
    base: Model,
    tuned: Model,
    samples: Samples,
    out: str | Path,
    *,
    max_new_tokens: int = 64,
    batch_size: int = 32,
    part_size: int = 256,
    progress: Progress | None = None,
) -> Survey:
    """Ask both models everything; a run that was interrupted goes on where it stopped.

    Args:
        base: the original model, whose text both are read on.
        tuned: the fine-tuned one.
        samples: what they are asked.
        out: the survey's directory.
        max_new_tokens: where an answer is cut off.
        batch_size: samples at once.
        part_size: samples in one file, the unit that is lost when a run is killed.
        progress: who is told how far it is.

    Raises:
        DataError: no samples, or none that can be read.
        MismatchError: ``out`` holds a survey of other models or data.
        MachineError: the disk is full; what was finished is kept.
    """
    if not len(samples):
        raise DataError("no samples to ask", remedy="check the filter, or the folder")
    if batch_size < 1 or part_size < 1:
        raise DataError(f"batches of {batch_size} in parts of {part_size}", allowed="1 or more")
    root, listener = Path(out), progress or Silent()
    identity = {
        "models": [base.identity, tuned.identity],
        "data": samples.fingerprint,
        "options": {"max_new_tokens": max_new_tokens, "part_size": part_size},
    }
    about = {"base": base.provenance, "tuned": tuned.provenance}
    begin = partial(Manifest, root, identity, about, -(-len(samples) // part_size), {}, _KIND)
    listener.start("asking base and tuned", len(samples))
    try:
        with being_written([begin]) as (manifest,):
            for number in range(manifest.n_parts):
                part = list(samples[number * part_size : (number + 1) * part_size])
                if not manifest.holds(number):
                    found = _part(base, tuned, part, max_new_tokens, batch_size)
                    manifest.add(number, _write(root, number, *found))
                listener.advance(len(part))
    finally:
        listener.stop()
    warn_not_finite([manifest], "answers")
    rows = tuple(row for part in manifest.ordered() for row in _read(_sound(root, part)))
    if not rows:
        first = manifest.quarantine[0]
        raise DataError(
            f"none of {len(samples)} samples could be read; {first['id']}: {first['reason']}",
            remedy="check the paths of the images",
        )
    return Survey(root, rows, tuple(manifest.quarantine))


def _part(
    base: Model, tuned: Model, samples: Sequence[Sample], max_new_tokens: int, batch_size: int
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Rows and quarantine of a range of samples."""
    rows: list[dict[str, Any]] = []
    quarantine: list[dict[str, str]] = []
    for start in range(0, len(samples), batch_size):
        readable: list[Sample] = []
        turns: list[Turn] = []
        for sample in samples[start : start + batch_size]:
            try:
                turns.append(Turn.of(sample))
                readable.append(sample)
            except DataError as error:
                quarantine.append({"id": sample.id, "reason": told(sample, str(error))})
        refused: dict[int, str] = {}
        run = partial(_some, base, tuned, readable, turns, max_new_tokens)
        for _, found in run_apart(run, range(len(readable)), refused):
            rows += found
        quarantine += [
            {"id": readable[at].id, "reason": told(readable[at], why)}
            for at, why in refused.items()
        ]
    return rows, quarantine


def _some(
    base: Model,
    tuned: Model,
    samples: Sequence[Sample],
    turns: Sequence[Turn],
    max_new_tokens: int,
    rows: Sequence[int],
) -> list[dict[str, Any]]:
    chosen = [samples[at] for at in rows], [turns[at] for at in rows]
    return _batch(base, tuned, *chosen, max_new_tokens)


def _batch(
    base: Model,
    tuned: Model,
    samples: Sequence[Sample],
    turns: Sequence[Turn],
    max_new_tokens: int,
) -> list[dict[str, Any]]:
    encodings = Encodings()  # pictures are processed once for the four passes
    own, other = (
        generate(model, encodings.of(model, turns), max_new_tokens=max_new_tokens)
        for model in (base, tuned)
    )
    apart = divergences(base, tuned, turns, own, encodings)
    return [
        {
            "sample_id": sample.id,
            "image": name_of(sample),
            "prompt": sample.prompt,
            "labels": json.dumps(dict(sample.labels), ensure_ascii=False),
            **_columns("base", mine),
            **_columns("tuned", theirs),
            "divergence": values,
        }
        for sample, mine, theirs, values in zip(samples, own, other, apart, strict=True)
    ]


def divergences(
    base: Model,
    tuned: Model,
    turns: Sequence[Turn],
    said: Sequence[Response],
    encodings: Encodings | None = None,
) -> list[list[float]]:
    """KL(base || tuned) at every state that emits a token of the given responses, in nats.

    Args:
        base, tuned: both are given the responses token by token.
        turns: prompts with their pictures.
        said: the base's responses.
        encodings: inputs of the turns that were made already.

    Returns:
        for each response one number a token, and one more for its end where it was not cut off.
    """
    site = Site(layer=base.address.n_layers - 1)
    made = encodings or Encodings()
    trails = [
        _trail(catch_given(model, turns, site, said, made.of(model, turns)))
        for model in (base, tuned)
    ]
    lengths = [len(one.token_ids) + (not one.truncated) for one in said]
    keep = torch.arange(trails[0].shape[1]) < torch.tensor(lengths)[:, None]
    mine, theirs = (trail[keep.to(trail.device)] for trail in trails)
    values: list[float] = []
    for start in range(0, len(mine), _AT_ONCE):
        p, q = (
            torch.log_softmax(model.readout.logits(states[start : start + _AT_ONCE]).double(), -1)
            for model, states in ((base, mine), (tuned, theirs))
        )
        # Rounding can leave a divergence of equal distributions a hair below zero.
        values += (p.exp() * (p - q)).sum(dim=-1).clamp_min(0).tolist()
    return [list(part) for part in _cut(values, lengths)]


def _trail(caught: Caught) -> Tensor:
    return next(iter(caught.states.values()))


def _cut(values: Sequence[float], lengths: Sequence[int]) -> list[Sequence[float]]:
    parts: list[Sequence[float]] = []
    at = 0
    for length in lengths:
        parts.append(values[at : at + length])
        at += length
    return parts


def _columns(name: str, said: Response) -> dict[str, Any]:
    return {
        f"{name}_text": said.text,
        f"{name}_ids": list(said.token_ids),
        f"{name}_truncated": said.truncated,
    }


def _write(
    root: Path, number: int, rows: list[dict[str, Any]], quarantine: list[dict[str, str]]
) -> dict[str, Any]:
    """One file, in one step; it counts once the manifest names it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = root / f"answers-{number:05d}.parquet"
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=_schema()), temporary)
    counts = {"matched": len(rows), "missed": 0, "failed": len(quarantine)}
    checksum = sha256_file(path)
    bad = sum(not all(map(math.isfinite, row["divergence"])) for row in rows)
    return {
        "shard": path.name,
        "rows": path.name,
        "n": len(rows),
        "counts": counts,
        **({"not_finite": bad} if bad else {}),
        "quarantine": quarantine,
        "sha256": {"shard": checksum, "rows": checksum},
    }


def _schema() -> Any:
    import pyarrow as pa

    text = ("sample_id", "image", "prompt", "labels", "base_text", "tuned_text")
    return pa.schema(
        [
            *((name, pa.string()) for name in text),
            *((f"{name}_ids", pa.list_(pa.int64())) for name in ("base", "tuned")),
            *((f"{name}_truncated", pa.bool_()) for name in ("base", "tuned")),
            ("divergence", pa.list_(pa.float64())),
        ]
    )


def _sound(root: Path, part: Mapping[str, Any]) -> Path:
    """The file of one part, which must be what was written."""
    path = root / part["rows"]
    if not path.is_file() or sha256_file(path) != part["sha256"]["rows"]:
        raise StoreError(
            f"{path} is missing or damaged: it is not what was written",
            remedy="remove the file and run the same again: its part is done anew",
        )
    return path


def _read(path: Path) -> list[Answers]:
    import pyarrow.parquet as pq

    return [
        Answers(
            sample_id=entry["sample_id"],
            image=entry["image"],
            prompt=entry["prompt"],
            labels=json.loads(entry["labels"]),
            base=_response(entry, "base"),
            tuned=_response(entry, "tuned"),
            divergence=tuple(entry["divergence"]),
        )
        for entry in pq.read_table(path).to_pylist()
    ]


def _response(entry: dict[str, Any], name: str) -> Response:
    return Response(entry[f"{name}_text"], tuple(entry[f"{name}_ids"]), entry[f"{name}_truncated"])
