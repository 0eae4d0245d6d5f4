"""One part of a harvest: a range of samples becomes one shard and one table of rows."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor

from shiftlens.activations.apart import run_apart
from shiftlens.activations.capture import Caught, as_response, catch_given, catch_own
from shiftlens.activations.encoding import Encodings
from shiftlens.activations.job import Job
from shiftlens.activations.part_files import begin_files
from shiftlens.activations.prompt_rows import PromptRow
from shiftlens.activations.selections.mean import Mean
from shiftlens.activations.selections.response import Word
from shiftlens.activations.selections.selection import Failed, Missed, Pick, Said
from shiftlens.activations.site import Site
from shiftlens.core.errors import DataError, MachineError
from shiftlens.data.images import Opening
from shiftlens.data.loading import Loaded, loading
from shiftlens.data.privacy import name_of, told
from shiftlens.data.sample import Sample
from shiftlens.models.generation import decode
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Turn


@dataclass
class _Table:
    """Rows and states of one model in one part, as they come in."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    states: dict[int, list[Tensor]] = field(default_factory=dict[int, list[Tensor]])
    counts: dict[str, int] = field(default_factory=lambda: {"matched": 0, "missed": 0, "failed": 0})
    kept: int = 0

    def shard(self) -> dict[str, Tensor]:
        """The states of every layer by name."""
        return {f"layer.{layer}": torch.cat(parts) for layer, parts in self.states.items()}


Entries = list[dict[str, Any]]
"""Of one part: for each model, what the manifest will hold of it."""


def begin_part(job: Job, part: tuple[int, Sequence[Sample]]) -> tuple[int, Callable[[], Entries]]:
    """Harvest a range of samples with every model and write one shard for each.

    Idempotent: the files have names of their own and replace what a killed run left.

    Returns:
        the part's number and what waits, in any thread, until its files are where they belong.
    """
    number, samples = part
    tables = [_Table() for _ in job.models]
    quarantine: list[dict[str, str]] = []
    opening = Opening(remote=job.remote)
    with loading(samples, decoders=job.decoders, ahead=job.batch_size, opening=opening) as loaded:
        for _ in range(0, len(samples), job.batch_size):
            _batch(job, list(islice(loaded, job.batch_size)), tables, quarantine)
    begun: list[Callable[[], dict[str, Any]]] = []
    try:
        for root, table in zip(job.roots, tables, strict=True):
            written = table.rows, table.shard(), table.counts, quarantine
            begun.append(begin_files(root, number, *written))
    except BaseException:
        for settle in begun:  # nothing half-written stays
            with suppress(MachineError):
                settle()
        raise
    return number, lambda: [settle() for settle in begun]


def harvest_part(job: Job, part: tuple[int, Sequence[Sample]]) -> tuple[int, Entries]:
    """Harvest a range of samples and wait until its files are where they belong.

    Returns:
        the part's number and, for each model, its entry for the manifest.
    """
    number, settle = begin_part(job, part)
    return number, settle()


def _batch(
    job: Job, batch: Sequence[Loaded], tables: list[_Table], quarantine: list[dict[str, str]]
) -> None:
    """Process each picture once, let every model answer, keep what the site selects."""
    readable: list[Sample] = []
    turns: list[Turn] = []
    for one in batch:
        try:
            turns.append(Turn.of(one.sample, one.pictures()))
            readable.append(one.sample)
        except DataError as error:
            _refuse(one.sample, str(error), tables, quarantine)
    refused: dict[int, str] = {}

    def run(rows: Sequence[int]) -> list[Caught]:
        return _answered(job, [readable[at] for at in rows], [turns[at] for at in rows])

    for rows, all_caught in run_apart(run, range(len(readable)), refused):
        kept = [readable[at] for at in rows]
        for model, table, caught in zip(job.models, tables, all_caught, strict=True):
            _keep(model, job.site, table, kept, caught)
        _note_absent(kept, all_caught, quarantine)
    for at, reason in refused.items():
        _refuse(readable[at], reason, tables, quarantine)
    job.progress.advance(len(batch))


def _refuse(
    sample: Sample, reason: str, tables: list[_Table], quarantine: list[dict[str, str]]
) -> None:
    """Note a sample that no model could be asked."""
    quarantine.append({"id": sample.id, "reason": told(sample, reason)})
    for table in tables:
        table.counts["failed"] += 1


def _note_absent(
    samples: Sequence[Sample], all_caught: Sequence[Caught], quarantine: list[dict[str, str]]
) -> None:
    """Note samples that lack the picture or the patch which the site names; each once."""
    for at, sample in enumerate(samples):
        reasons = [one.prompt[at].reason for one in all_caught if one.prompt]
        reason = next((one for one in reasons if one), None)
        if reason is not None:
            quarantine.append({"id": sample.id, "reason": reason})


def _answered(job: Job, samples: Sequence[Sample], turns: Sequence[Turn]) -> list[Caught]:
    """What every model says to a batch; nothing is kept before all of them have said it."""
    encodings, found = Encodings(), list[Caught]()
    said: Sequence[Response] | None = None
    if job.said is not None:
        encodings.of(job.models[0], turns)  # refuses the samples to which nothing was said
        said = [job.said[sample.id] for sample in samples]
    for model in job.models:
        caught = _caught(job, model, samples, turns, said, encodings)
        if job.text == "base" and said is None:
            said = caught.responses
        found.append(caught)
    return found


def _caught(
    job: Job,
    model: Model,
    samples: Sequence[Sample],
    turns: Sequence[Turn],
    said: Sequence[Response] | None,
    encodings: Encodings,
) -> Caught:
    if job.text == "given":
        said = [as_response(model, sample.response or "") for sample in samples]

    def run(some: Sequence[Turn], responses: Sequence[Response]) -> Caught:
        inputs = encodings.of(model, some)
        if said is None:
            return catch_own(
                model,
                some,
                job.site,
                job.max_new_tokens,
                inputs,
                options=job.options,
                enough=_enough(model, job.site) if job.stop_at_word else None,
            )
        return catch_given(model, some, job.site, responses, inputs)

    return _shrinking(run, turns, said or [])


def _enough(model: Model, site: Site) -> Callable[[Sequence[int]], bool]:
    """Whether the word of a site has been said, whole: another token stands behind it."""
    wanted, nothing = replace(cast(Word, site.tokens), require_reference=False), Sample("", "")

    def enough(token_ids: Sequence[int]) -> bool:
        # Truncated: the last token may go on with the word, and its state has not been read.
        said = Said(decode(model, token_ids), token_ids, True, partial(decode, model))
        try:
            return bool(wanted.picks(nothing, said))
        except (Missed, Failed):
            return False

    return enough


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
    responses = [*first.responses, *second.responses]
    return Caught(responses, states, (*first.prompt, *second.prompt))


def _keep(
    model: Model, site: Site, table: _Table, samples: Sequence[Sample], caught: Caught
) -> None:
    """Select each sample's states and copy them from the device in one go."""
    chosen: list[tuple[int, Pick]] = []
    for index, (sample, response) in enumerate(zip(samples, caught.responses, strict=True)):
        if caught.prompt:
            status, picks = _in_prompt(site, caught.prompt[index])
        else:
            status, picks = _in_response(model, site, sample, response)
        table.counts[status] += 1
        for pick, position in picks:
            state = table.kept + len(chosen)
            table.rows.append(_row(sample, response, status, pick.word, position, state))
            chosen.append((index, pick))
        if not picks:
            table.rows.append(_row(sample, response, status, "", -1, None))
    if chosen:
        for layer, states in caught.states.items():
            table.states.setdefault(layer, []).append(_gather(states, chosen))
        table.kept += len(chosen)


def _in_response(
    model: Model, site: Site, sample: Sample, response: Response
) -> tuple[str, list[tuple[Pick, int]]]:
    """What is selected along a response, each with the position that is written down."""
    said = Said(
        response.text,
        response.token_ids,
        response.truncated,
        partial(decode, model),
        response.reasoning,
    )
    try:
        return "matched", [(one, one.positions[0]) for one in site.tokens.picks(sample, said)]
    except Missed:
        return "missed", []
    except Failed:
        return "failed", []


def _in_prompt(site: Site, row: PromptRow) -> tuple[str, list[tuple[Pick, int]]]:
    """What is selected in a prompt: the mean is one state, written down as position 0."""
    if row.status != "matched":
        return row.status, []
    if isinstance(site.tokens, Mean):
        return "matched", [(Pick((0,)), 0)]
    named = zip(row.positions, row.names, strict=True)
    return "matched", [(Pick((at,), name), where) for at, (where, name) in enumerate(named)]


def _gather(states: Tensor, chosen: Sequence[tuple[int, Pick]]) -> Tensor:
    means = [
        states[index, pick.positions[0]]
        if len(pick.positions) == 1
        else states[index, list(pick.positions)].float().mean(dim=0).to(states.dtype)
        for index, pick in chosen
    ]
    return torch.stack(means).cpu()


def _row(
    sample: Sample, response: Response, status: str, word: str, position: int, state: int | None
) -> dict[str, Any]:
    return {
        "sample_id": sample.id,
        "image": name_of(sample),
        "prompt": sample.prompt,
        "response": response.text,
        "token_ids": list(response.token_ids),
        "truncated": response.truncated,
        "status": status,
        "word": word,
        "position": position,
        "state": state,
        "labels": json.dumps(dict(sample.labels), ensure_ascii=False),
    }
