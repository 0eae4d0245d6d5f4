"""``harvest_pair``: a base and a full fine-tune of it, one in memory at a time.

Two models of 7B in bf16 need 30 GB together and 15 GB one after the other. The base is loaded,
asked what the proof of the pair needs, harvested and freed; only then is the fine-tune loaded,
proven against what the base left behind, and harvested. ``pair.json`` beside the stores keeps the
proof, so that a run that goes on loads what is still needed and nothing else.
"""

import gc
import weakref
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from shiftlens.activations import harvesting
from shiftlens.activations.harvesting import Text, harvest
from shiftlens.activations.job import Job
from shiftlens.activations.manifest import has_manifest, read_manifest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.writing import being_written, is_whole
from shiftlens.core.errors import DataError, MismatchError, ShiftLensError
from shiftlens.core.executor import Executor, SerialExecutor
from shiftlens.core.manifest import (
    digest,
    read_json,
    remove_leftovers,
    sha256_file,
    write_json,
)
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.loading import check_decoders
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.adapters import is_adapter
from shiftlens.models.checkpoints import Placement, load_checkpoint, load_skeleton
from shiftlens.models.files import locate
from shiftlens.models.fingerprints import fingerprint_files
from shiftlens.models.loading import load_pair
from shiftlens.models.model import Model, Response
from shiftlens.models.pairs import require_allowable
from shiftlens.models.prompts import Turn, encode_turns
from shiftlens.models.quiet import quiet_loading
from shiftlens.models.witness import Witness

_NAME, _KIND, _SCHEMA = "pair.json", "pair", 1
_SMALL = {".json", ".jinja", ".txt", ".model"}


@dataclass(frozen=True)
class _Source:
    """A model that is not loaded yet."""

    name: str
    label: str
    place: Placement
    revision: str | None

    def load(self) -> Model:
        with quiet_loading():
            return load_checkpoint(self.name, self.place, label=self.label, revision=self.revision)

    def skeleton(self, partner: Model) -> Model:
        with quiet_loading():
            return load_skeleton(
                self.name, self.place, label=self.label, revision=self.revision, partner=partner
            )

    def describe(self) -> dict[str, str]:
        """What decides which model it will be, found without loading it."""
        where, _ = locate(self.name, self.revision)
        small = {f.name: sha256_file(f) for f in sorted(where.iterdir()) if f.suffix in _SMALL}
        place = (self.place.device, self.place.dtype, self.place.attention)
        return {
            "weights": fingerprint_files(where),
            "files": digest(small),
            "place": digest([str(one) for one in place]),
        }


@dataclass(frozen=True)
class _Plan:
    """What both models are asked, and how."""

    samples: Samples
    site: Site
    out: Path
    response: Text
    sizes: dict[str, Any]
    allow_empty: bool
    executor: Executor | None
    progress: Progress | None
    decoders: int

    def describe(self) -> dict[str, Any]:
        return {
            "data": self.samples.fingerprint,
            "site": self.site.describe(),
            "response": self.response,
            "options": self.sizes,
        }

    def harvest(self, model: Model, response: Text) -> ActivationStore:
        return harvest(
            model,
            self.samples,
            self.site,
            self.out / model.label,
            response=response,
            **self.sizes,
            allow_empty=self.allow_empty,
            executor=self.executor,
            progress=self.progress,
            decoders=self.decoders,
        )


def harvest_pair(
    base: str | Path,
    tuned: str | Path,
    samples: Samples,
    site: Site,
    out: str | Path,
    *,
    response: Text = "own",
    max_new_tokens: int = 64,
    batch_size: int = 32,
    part_size: int = 256,
    allow_empty: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    attention: str | None = None,
    allow: Collection[str] = (),
    tuned_dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    tuned_revision: str | None = None,
    decoders: int = 0,
) -> tuple[ActivationStore, ActivationStore]:
    """Harvest a base and its fine-tune with one model in memory at a time.

    The stores are those of ``harvest`` with the two models of ``load_pair``, to the byte; each
    model reads the data once. An adapter shares the weights of its base, so with one the two are
    harvested in one pass over the data. A run that was interrupted goes on where it stopped, and
    loads the base again only if it is still needed.

    Args:
        base: the original model, named as in ``load_model``.
        tuned: a full model of the same architecture and vocabulary, or an adapter.
        samples, site, response: as in ``harvest``. With response "base" the fine-tune is given the
            base's responses, which are read from its store.
        max_new_tokens, batch_size, part_size, allow_empty, executor, progress, decoders: as there.
        out: a directory; the stores are ``out/base`` and ``out/tuned``, the proof that they belong
            together is in ``out/pair.json``.
        device, dtype, attention, allow, tuned_dtype, revision, tuned_revision: as in ``load_pair``.

    Returns:
        the store of the base and that of the fine-tune.

    Raises:
        DataError: one of the two cannot be read; and what ``harvest`` raises.
        MismatchError: they are not a pair, or ``out`` holds stores of another run. What the files
            of the fine-tune show is found before the base is harvested.
        ShiftLensError: the base could not be freed.
    """
    require_allowable(allow)
    for one in (base, tuned):
        if not isinstance(one, str | Path):
            raise DataError(
                f"{one} in place of a model's name",
                allowed="directories or ids: models are loaded one after the other",
                remedy="harvest([base, tuned], ...) takes models that are in memory already",
            )
    harvesting.check_asked(samples, response, batch_size, part_size)
    check_decoders(decoders)
    sizes: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "batch_size": batch_size,
        "part_size": part_size,
    }
    plan = _Plan(
        samples, site, Path(out), response, sizes, allow_empty, executor, progress, decoders
    )
    if is_adapter(locate(str(tuned), tuned_revision)[0]):
        models = load_pair(
            base, tuned, device=device, dtype=dtype, attention=attention, allow=allow,
            tuned_dtype=tuned_dtype, revision=revision, tuned_revision=tuned_revision,
        )  # fmt: skip
        first, second = harvest(
            models, samples, site, out, response=response, **sizes, allow_empty=allow_empty,
            executor=executor, progress=progress, decoders=decoders,
        )  # fmt: skip
        return first, second
    ours = _Source(str(base), "base", Placement(device, dtype, attention), revision)
    place = Placement(device, tuned_dtype or dtype, attention)
    theirs = _Source(str(tuned), "tuned", place, tuned_revision)
    return _in_turn(ours, theirs, plan, allow)


def _in_turn(
    base: _Source, tuned: _Source, plan: _Plan, allow: Collection[str]
) -> tuple[ActivationStore, ActivationStore]:
    head = {
        "models": {"base": base.describe(), "tuned": tuned.describe()},
        "allow": sorted({allow} if isinstance(allow, str) else {*allow}),
        **plan.describe(),
    }
    if base.describe() == tuned.describe():
        raise MismatchError(
            f"{base.name} and {tuned.name} are the same model twice: same files, same type",
            allowed="a model and its fine-tune",
            remedy="check the two names",
        )
    identity, witness = _known(plan.out, head), None
    first = _finished(plan.out / base.label)
    if identity is None or first is None or first.provenance["model"] != identity:
        first, witness, gone = _first(base, tuned, plan, allow)
        _require_freed(gone, witness.called)
        identity = witness.identity
    elif (second := _finished(plan.out / tuned.label)) is not None:
        return first, second
    second = _second(tuned, plan, allow, first, identity, witness, head)
    return first, second


def _first(
    source: _Source, other: _Source, plan: _Plan, allow: Collection[str]
) -> tuple[ActivationStore, Witness, Callable[[], object]]:
    """Harvest the base; when this returns, nothing of it is left but the witness."""
    model = source.load()
    witness = Witness.of(model, other.skeleton(model), allow)
    store = plan.harvest(model, "given" if plan.response == "given" else "own")
    return store, witness, weakref.ref(model.hf)


def _require_freed(gone: Callable[[], object], called: str) -> None:
    gc.collect()  # modules and hooks hold each other in circles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if gone() is not None:
        raise ShiftLensError(
            f"{called} is still in memory after it was harvested, so the other was not loaded",
            remedy="run the same harvest again in a fresh process: it goes on from there",
        )


def _second(
    source: _Source,
    plan: _Plan,
    allow: Collection[str],
    first: ActivationStore,
    identity: Mapping[str, Any],
    witness: Witness | None,
    head: Mapping[str, Any],
) -> ActivationStore:
    """Load the fine-tune, prove it, keep the proof, harvest."""
    model = source.load()
    if witness is not None:
        witness.prove(model, allow)
        proof = None if model.proof is None else model.proof.to_dict()
        value = {"kind": _KIND, "schema": _SCHEMA, **head, "base": dict(identity), "proof": proof}
        remove_leftovers(plan.out)
        write_json(plan.out / _NAME, value)
    if plan.response == "base":
        return _on_text_of(first, model, plan)
    return plan.harvest(model, plan.response)


def _on_text_of(first: ActivationStore, model: Model, plan: _Plan) -> ActivationStore:
    """Harvest a model that is given the responses of a store, as if their model stood beside it."""
    said = _said(first)
    _refuse_changed(model, plan.samples, said)
    resolved, root = plan.site.resolve(model), plan.out / model.label
    identity = {
        "model": model.identity,
        "data": plan.samples.fingerprint,
        "site": resolved.describe(),
        "text": first.provenance["model"],
        "options": plan.sizes,
    }
    limit, batch = plan.sizes["max_new_tokens"], plan.sizes["batch_size"]
    job = Job(
        (model,), (root,), resolved, "base", limit, batch, plan.progress or Silent(), said,
        decoders=plan.decoders,
    )  # fmt: skip
    begin = partial(harvesting.begin_manifest, root, identity, model, plan.samples)
    with being_written([begin]) as manifests:
        size, executor = plan.sizes["part_size"], plan.executor or SerialExecutor()
        harvesting.run_parts(job, manifests, plan.samples, size, executor)
    store = ActivationStore(manifests[0])
    if not plan.allow_empty:
        harvesting.require_rows(store)
    return store


def _said(store: ActivationStore) -> dict[str, Response]:
    """Responses in a store by sample id, token by token as they were said."""
    columns = ["sample_id", "response", "token_ids", "truncated"]
    return {
        row["sample_id"]: Response(row["response"], tuple(row["token_ids"]), row["truncated"])
        for row in store.entries(columns)
    }


def _refuse_changed(model: Model, samples: Samples, said: Mapping[str, Response]) -> None:
    """What the base could not be asked must still be so: it has said nothing to it."""
    changed = (one for one in samples if one.id not in said and _can_be_asked(model, one))
    if (first := next(changed, None)) is not None:
        raise DataError(
            f"sample {first.id!r} could not be read when the base was harvested, and can be now",
            allowed="the same pictures for both models",
            remedy="harvest into another directory",
        )


def _can_be_asked(model: Model, sample: Sample) -> bool:
    """Whether a sample has what is asked, its pictures open, and the processor takes them."""
    try:
        encode_turns(model, [Turn.of(sample)])
    except (DataError, MismatchError):
        return False
    return True


def _known(out: Path, head: Mapping[str, Any]) -> dict[str, Any] | None:
    """The base's identity from the proof of an earlier run that was about the same."""
    if not (out / _NAME).is_file():
        return None
    found = read_json(out / _NAME)
    wanted = {"kind": _KIND, "schema": _SCHEMA, **head}
    if not isinstance(found, dict) or any(found.get(k) != v for k, v in wanted.items()):
        return None
    return found.get("base")


def _finished(root: Path) -> ActivationStore | None:
    if not has_manifest(root):
        return None
    manifest = read_manifest(root)
    return ActivationStore(manifest) if is_whole(manifest) else None
