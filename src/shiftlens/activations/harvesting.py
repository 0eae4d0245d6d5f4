"""``harvest``: run models over samples and keep the states that a site selects."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

from shiftlens.activations.finite import warn_not_finite
from shiftlens.activations.job import Job
from shiftlens.activations.manifest import Manifest
from shiftlens.activations.parts import begin_part, harvest_part
from shiftlens.activations.selections.response import Word
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.writing import (
    Counting,
    Share,
    being_written,
    check_share,
    pending,
)
from shiftlens.core.errors import DataError, MismatchError, SiteError
from shiftlens.core.executor import Executor, SerialExecutor
from shiftlens.core.places import Remote, place_of, under
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.loading import check_decoders
from shiftlens.data.sample import Samples
from shiftlens.models.decoding import check_options
from shiftlens.models.model import Model, Response
from shiftlens.models.processing.reasoning import ReasoningMarks
from shiftlens.models.processing.templates import is_plain

Text = Literal["own", "base", "given"]


@overload
def harvest(
    models: Model,
    samples: Samples,
    site: Site,
    out: str | Path,
    *,
    response: Text = "own",
    max_new_tokens: int = 64,
    batch_size: int = 32,
    part_size: int = 256,
    allow_empty: bool = False,
    said: Mapping[str, Response] | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    generation: Mapping[str, Any] | None = None,
    stop_at_word: bool = False,
    part: Share | None = None,
    decoders: int = 0,
    remote: bool = False,
) -> ActivationStore: ...
@overload
def harvest(
    models: Sequence[Model],
    samples: Samples,
    site: Site,
    out: str | Path,
    *,
    response: Text = "own",
    max_new_tokens: int = 64,
    batch_size: int = 32,
    part_size: int = 256,
    allow_empty: bool = False,
    said: Mapping[str, Response] | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    generation: Mapping[str, Any] | None = None,
    stop_at_word: bool = False,
    part: Share | None = None,
    decoders: int = 0,
    remote: bool = False,
) -> list[ActivationStore]: ...
def harvest(
    models: Model | Sequence[Model],
    samples: Samples,
    site: Site,
    out: str | Path,
    *,
    response: Text = "own",
    max_new_tokens: int = 64,
    batch_size: int = 32,
    part_size: int = 256,
    allow_empty: bool = False,
    said: Mapping[str, Response] | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    generation: Mapping[str, Any] | None = None,
    stop_at_word: bool = False,
    part: Share | None = None,
    decoders: int = 0,
    remote: bool = False,
) -> ActivationStore | list[ActivationStore]:
    """Harvest states; a run that was interrupted goes on where it stopped.

    Args:
        models: one model, or several that see the same samples in one pass over the data.
        samples: what they are asked.
        site: which states are kept.
        out: the store's directory; with several models, a directory of stores named by label. An
            address such as ``s3://bucket/run`` is a place that fsspec can write.
        response: whose text the states are taken from. ``own``: each model's own greedy response;
            ``base``: the first model's, which the others are given token by token; ``given``:
            the samples' own ``response``.
        max_new_tokens: where a response is cut off; a word that is cut counts as failed.
        batch_size: samples at once; halved by itself when memory runs out.
        part_size: samples in one shard, the unit that is lost when a run is killed.
        allow_empty: give back a store without rows where nothing was selected, instead of an error.
        said: responses that are known already, by sample id (``Survey.said``): the first model's
            where ``response`` is ``base``, the one model's own where it is ``own``. They are given
            token by token instead of being generated again, which sees the same states.
        executor: who runs the parts; this process by default.
        progress: who is told how far it is.
        generation: options of the greedy generation that are meant, by name, such as
            ``{"repetition_penalty": 1.2}``; see ``shiftlens.models.decoding.ALLOWED``.
        stop_at_word: let each sample stop answering once the word of the site has been said: the
            same states in less time, but responses are cut off behind it. For the first occurrence
            of a word in a model's own text.
        part: ``(2, 4)`` runs the second quarter of the shards and leaves the others to other
            processes or machines that write the same directory; in any order, and again after a
            kill. The one that ends last finishes the store, which is the same to the byte.
        decoders: how many processes decode the pictures of the next batch while the models work on
            this one; with 0, this process does it in between. The states are the same.
        remote: fetch pictures whose reference is an address (``https://...``). They are fetched
            again by every run, and what is under an address may have changed by then.

    Returns:
        the store, or one a model. With ``part`` it may not be ``complete`` yet, and is not read.

    Raises:
        DataError: no samples, samples without the response to be given, a number of decoders that
            is not possible, or nothing was selected in any of them.
        SiteError: a layer that a model does not have, or ``stop_at_word`` with a site that is not
            about the first occurrence of a word.
        MismatchError: ``out`` holds a store of another model, site, or data.
        MachineError: the disk is full, and what was finished is kept; another process writes
            there; or processes that decode cannot be started.
    """
    several = not isinstance(models, Model)
    chosen = tuple(models) if several else (models,)
    _check(chosen, samples, response, batch_size, part_size)
    share = check_share(part)
    check_decoders(decoders)
    _check_said(chosen, samples, response, said)
    _check_site(site)
    resolved = site.resolve(chosen[0])
    place = place_of(out)
    roots = tuple(under(place, m.label) for m in chosen) if several else (place,)
    asked = check_options(generation)
    if stop_at_word:
        _check_stop(site, response, chosen)
    options: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "batch_size": batch_size,
        "part_size": part_size,
        # Named only where they are meant: every earlier store keeps its identity.
        **({"generation": asked} if asked else {}),
        **({"stop_at_word": True} if stop_at_word else {}),
        **({"remote": True} if remote else {}),
    }
    wanted = [
        partial(
            begin_manifest,
            root,
            _identity(chosen, m, samples, resolved, response, options),
            m,
            samples,
        )
        for root, m in zip(roots, chosen, strict=True)
    ]
    listener = progress or Silent()
    sizes = max_new_tokens, batch_size
    job = Job(
        chosen, roots, resolved, response, *sizes, listener, said, asked or None, stop_at_word,
        decoders, remote,
    )  # fmt: skip
    with being_written(wanted, share) as manifests:
        run_parts(job, manifests, samples, part_size, executor or SerialExecutor(), share)
    stores = [ActivationStore(manifest) for manifest in manifests]
    for store in stores:
        if store.complete and not allow_empty:
            require_rows(store)
    warn_not_finite(manifests)
    return stores if several else stores[0]


def _check(
    models: Sequence[Model], samples: Samples, response: str, batch_size: int, part_size: int
) -> None:
    if not models:
        raise DataError("no model to harvest from")
    labels = [model.label for model in models]
    if len(set(labels)) < len(labels):
        raise MismatchError(
            f"models share the label {labels[0]!r}", remedy="load_model(..., label=...)"
        )
    check_asked(samples, response, batch_size, part_size)
    for model in models:
        is_plain(model)  # a model that cannot be asked at all is not the fault of any sample


def check_asked(samples: Samples, response: str, batch_size: int, part_size: int) -> None:
    """Refuse what no model is needed to refuse.

    Raises:
        DataError: no samples, an unknown kind of response, or a size that is not possible.
    """
    if not isinstance(samples, Samples):
        raise DataError(
            f"{type(samples).__name__} {str(samples)[:60]!r} in place of samples",
            allowed="what shiftlens.read gives, or Samples([...])",
            remedy='read(path, prompt="Describe the picture.")',
        )
    if not len(samples):
        raise DataError("no samples to harvest from", remedy="check the filter, or the folder")
    if response not in ("own", "base", "given"):
        raise DataError(f"unknown response {response!r}", allowed="own, base, given")
    if batch_size < 1 or part_size < 1:
        raise DataError(f"batches of {batch_size} in parts of {part_size}", allowed="1 or more")
    bare = [sample.id for sample in samples if sample.response is None]
    if response == "given" and bare:
        raise DataError(
            f"{len(bare)} samples have no response to give, the first is {bare[0]!r}",
            remedy="samples.with_responses({id: text}), or a response column in the data",
        )


def _check_site(site: object) -> None:
    if not isinstance(site, Site):
        raise SiteError(
            f"{type(site).__name__} {str(site)[:60]!r} in place of a site",
            allowed="a layer and a choice of tokens",
            remedy='Site(layer=-1, tokens=tokens.word("dog")), or tokens.last_prompt()',
        )


def _check_stop(site: Site, response: str, models: Sequence[Model]) -> None:
    wanted = site.tokens
    first = isinstance(wanted, Word) and not (wanted.every or wanted.last)
    if not first or response == "given":
        raise SiteError(
            f"generation cannot stop at {wanted.kind!r} with response {response!r}",
            allowed='Site(layer, tokens.word("dog")): the first occurrence, in a model\'s own text',
        )
    if response == "base" and len(models) > 1:
        raise SiteError(
            "the base's text would be cut off where the base says the word",
            allowed="stop_at_word with response='own'",
        )
    aloud = next((one for one in models if ReasoningMarks.of(one.tokenizer).opening), None)
    if aloud is not None:
        raise SiteError(
            f"{aloud} thinks before it answers, and may say the word while it does",
            allowed="stop_at_word with models that answer at once",
        )


def _check_said(
    models: Sequence[Model], samples: Samples, response: str, said: Mapping[str, Response] | None
) -> None:
    if said is None:
        return
    if response == "given" or (response == "own" and len(models) > 1):
        raise DataError(
            f"known responses cannot be used for {len(models)} models with response {response!r}",
            allowed="one model's own responses, or the first model's with response='base'",
        )
    absent = [sample.id for sample in samples if sample.id not in said]
    if absent:
        raise DataError(
            f"{len(absent)} samples are not among the known responses, the first is {absent[0]!r}",
            remedy="leave out the samples that could not be read",
        )


def _identity(
    models: Sequence[Model],
    model: Model,
    samples: Samples,
    site: Site,
    response: str,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Everything that decides the numbers; batch composition decides their last bits."""
    # The first model's states are the same whether or not others are given its text.
    forced = response == "base" and model is not models[0]
    return {
        "model": model.identity,
        "data": samples.fingerprint,
        "site": site.describe(),
        "text": models[0].identity if forced else "given" if response == "given" else "own",
        "options": options,
    }


def begin_manifest(
    root: Path | Remote, identity: dict[str, Any], model: Model, samples: Samples
) -> Manifest:
    """The manifest of a store without parts."""
    size = identity["options"]["part_size"]
    known = identity, model.provenance, -(-len(samples) // size)
    if isinstance(root, Remote):
        return Manifest(root.workshop, *known, far=root)
    return Manifest(root, *known)


def run_parts(
    job: Job,
    manifests: Sequence[Manifest],
    samples: Samples,
    part_size: int,
    executor: Executor,
    share: Share = (1, 1),
) -> None:
    """Run the parts of a share that a store lacks; each counts once its journal names it."""
    mine = range(share[0] - 1, manifests[0].n_parts, share[1])
    lacking = set(pending(manifests, share))
    ranges = {n: samples[n * part_size : (n + 1) * part_size] for n in mine}
    parts = [(n, list(part)) for n, part in ranges.items() if n in lacking]
    if not parts:
        return
    labels = [model.label for model in job.models]
    names = " and ".join(labels) if len(labels) <= 3 else f"{len(labels)} models"
    job.progress.start(f"harvesting {names}", sum(map(len, ranges.values())))
    job.progress.advance(sum(len(part) for n, part in ranges.items() if n not in lacking))
    try:
        with Counting(manifests) as counting:
            if isinstance(executor, SerialExecutor):  # what is begun here can be ended meanwhile
                for number, settle in executor.map(partial(begin_part, job), parts):
                    counting.add(number, settle)
            else:
                for number, entries in executor.map(partial(harvest_part, job), parts):
                    counting.add(number, partial(list, entries))
    finally:
        job.progress.stop()


def require_rows(store: ActivationStore) -> None:
    """A selection that fits no sample is an error with the words that were said instead."""
    counts = store.counts
    if counts["matched"]:
        return
    if len(store.quarantine) == sum(counts.values()):
        n = len(store.quarantine)
        reason, same = Counter(one["reason"] for one in store.quarantine).most_common(1)[0]
        first = next(one["id"] for one in store.quarantine if one["reason"] == reason)
        others = f" and {same - 1} others" if same > 1 else ""
        raise DataError(f"none of {n} samples could be used; {first}{others}: {reason}")
    if store.site.tokens.part == "prompt":
        raise DataError(
            f"none of {sum(counts.values())} prompts holds {store.site.tokens.kind} tokens",
            remedy="choose other tokens, or samples with pictures or a system prompt",
        )
    said = Counter(word for text in store.responses.values() for word in text.lower().split())
    common = ", ".join(word for word, _ in said.most_common(10))
    raise DataError(
        f"none of {sum(counts.values())} responses holds {_wanted(store)}",
        allowed=f"commonest words said: {common or 'none'}",
        remedy="choose another word or prompt, or allow more new tokens",
    )


def _wanted(store: ActivationStore) -> str:
    words = getattr(store.site.tokens, "words", ())
    return " or ".join(repr(word) for word in words) or store.site.tokens.kind
