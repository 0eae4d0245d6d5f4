"""One part of a harvest: a range of samples becomes one shard and one table of rows."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.activations.capture import Caught, as_response, catch_given, catch_own
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import Failed, Missed, Pick, Said
from shiftlens.core.errors import DataError
from shiftlens.core.manifest import replacing, sha256_file
from shiftlens.core.progress import Progress
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample
from shiftlens.models.generation import decode
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Turn


@dataclass(frozen=True)
class Job:
    """What every part of a harvest has in common."""

    models: tuple[Model, ...]
    roots: tuple[Path, ...]
    site: Site
    text: str
    max_new_tokens: int
    batch_size: int
    progress: Progress
    said: Mapping[str, Response] | None = None


@dataclass
class _Table:
    """Rows and states of one model in one part, as they come in."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    states: dict[int, list[Tensor]] = field(default_factory=dict[int, list[Tensor]])
    counts: dict[str, int] = field(default_factory=lambda: {"matched": 0, "missed": 0, "failed": 0})
    kept: int = 0


def harvest_part(job: Job, part: tuple[int, Sequence[Sample]]) -> tuple[int, list[dict[str, Any]]]:
    """Harvest a range of samples with every model and write one shard for each.

    Idempotent: the files have names of their own and replace what a killed run left.

    Returns:
        the part's number and, for each model, its entry for the manifest.
    """
    number, samples = part
    tables = [_Table() for _ in job.models]
    quarantine: list[dict[str, str]] = []
    for start in range(0, len(samples), job.batch_size):
        _batch(job, samples[start : start + job.batch_size], tables, quarantine)
    entries = [
        _write(root, number, table, quarantine)
        for root, table in zip(job.roots, tables, strict=True)
    ]
    return number, entries


def _batch(
    job: Job, samples: Sequence[Sample], tables: list[_Table], quarantine: list[dict[str, str]]
) -> None:
    """Open each picture once, let every model answer, keep what the site selects."""
    readable: list[Sample] = []
    turns: list[Turn] = []
    for sample in samples:
        try:
            turns.append(Turn(sample.prompt, tuple(open_image(ref) for ref in sample.images)))
            readable.append(sample)
        except DataError as error:
            quarantine.append({"id": sample.id, "reason": str(error)})
            for table in tables:
                table.counts["failed"] += 1
    if readable:
        said = None if job.said is None else [job.said[sample.id] for sample in readable]
        for model, table in zip(job.models, tables, strict=True):
            caught = _caught(job, model, readable, turns, said)
            _keep(model, job.site, table, readable, caught)
            if job.text == "base" and said is None:
                said = caught.responses
    job.progress.advance(len(samples))


def _caught(
    job: Job,
    model: Model,
    samples: Sequence[Sample],
    turns: Sequence[Turn],
    said: Sequence[Response] | None,
) -> Caught:
    if job.text == "given":
        said = [as_response(model, sample.response or "") for sample in samples]
    if said is None:
        run: Callable[[Sequence[Turn], Sequence[Response]], Caught] = lambda some, _: catch_own(  # noqa: E731
            model, some, job.site, job.max_new_tokens
        )
    else:
        run = partial(_given, model, job.site)
    return _shrinking(run, turns, said or [])


def _given(
    model: Model, site: Site, turns: Sequence[Turn], responses: Sequence[Response]
) -> Caught:
    return catch_given(model, turns, site, responses)


def _shrinking(
    run: Callable[[Sequence[Turn], Sequence[Response]], Caught],
    turns: Sequence[Turn],
    responses: Sequence[Response],
) -> Caught:
    """Run a batch; when memory runs out, run its halves, down to single samples."""
    try:
        return run(turns, responses)
    except torch.OutOfMemoryError:
        if len(turns) == 1:
            raise
    middle = len(turns) // 2
    first = _shrinking(run, turns[:middle], responses[:middle])
    second = _shrinking(run, turns[middle:], responses[middle:])
    return _joined(first, second)


def _joined(first: Caught, second: Caught) -> Caught:
    """Two halves of a batch as one; trails are padded to the longer one."""
    states: dict[int, Tensor] = {}
    for layer, one in first.states.items():
        other = second.states[layer]
        longest = max(one.shape[1], other.shape[1])
        pad = [
            torch.nn.functional.pad(half, (0, 0, 0, longest - half.shape[1]))
            for half in (one, other)
        ]
        states[layer] = torch.cat(pad)
    return Caught([*first.responses, *second.responses], states)


def _keep(
    model: Model, site: Site, table: _Table, samples: Sequence[Sample], caught: Caught
) -> None:
    """Select each sample's states and copy them from the device in one go."""
    chosen: list[tuple[int, Pick]] = []
    for index, (sample, response) in enumerate(zip(samples, caught.responses, strict=True)):
        said = Said(response.text, response.token_ids, response.truncated, partial(decode, model))
        status, picks = "matched", list[Pick]()
        try:
            picks = site.tokens.picks(sample, said)
        except Missed:
            status = "missed"
        except Failed:
            status = "failed"
        table.counts[status] += 1
        for pick in picks:
            table.rows.append(_row(sample, response, status, pick, table.kept + len(chosen)))
            chosen.append((index, pick))
        if not picks:
            table.rows.append(_row(sample, response, status, Pick(()), None))
    if chosen:
        for layer, states in caught.states.items():
            table.states.setdefault(layer, []).append(_gather(states, chosen))
        table.kept += len(chosen)


def _gather(states: Tensor, chosen: Sequence[tuple[int, Pick]]) -> Tensor:
    means = [
        states[index, pick.positions[0]]
        if len(pick.positions) == 1
        else states[index, list(pick.positions)].float().mean(dim=0).to(states.dtype)
        for index, pick in chosen
    ]
    return torch.stack(means).cpu()


def _row(
    sample: Sample, response: Response, status: str, pick: Pick, state: int | None
) -> dict[str, Any]:
    return {
        "sample_id": sample.id,
        "image": sample.images[0] if sample.images else "",
        "prompt": sample.prompt,
        "response": response.text,
        "token_ids": list(response.token_ids),
        "truncated": response.truncated,
        "status": status,
        "word": pick.word,
        "position": pick.positions[0] if pick.positions else -1,
        "state": state,
        "labels": json.dumps(dict(sample.labels), ensure_ascii=False),
    }


def _write(
    root: Path, number: int, table: _Table, quarantine: list[dict[str, str]]
) -> dict[str, Any]:
    """Write shard and rows, each in one step; they count once the manifest names them."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.torch import save_file

    shard, rows = root / f"shard-{number:05d}.safetensors", root / f"rows-{number:05d}.parquet"
    tensors = {f"layer.{layer}": torch.cat(parts) for layer, parts in table.states.items()}
    with replacing(shard) as temporary:
        save_file(tensors, temporary)
    with replacing(rows) as temporary:
        pq.write_table(pa.Table.from_pylist(table.rows, schema=_schema()), temporary)
    return {
        "shard": shard.name,
        "rows": rows.name,
        "n": table.kept,
        "counts": table.counts,
        "quarantine": quarantine,
        "sha256": {"shard": sha256_file(shard), "rows": sha256_file(rows)},
    }


def _schema() -> Any:
    import pyarrow as pa

    text = ("sample_id", "image", "prompt", "response", "status", "word", "labels")
    return pa.schema(
        [
            *((name, pa.string()) for name in text),
            ("token_ids", pa.list_(pa.int64())),
            ("truncated", pa.bool_()),
            ("position", pa.int64()),
            ("state", pa.int64()),
        ]
    )
