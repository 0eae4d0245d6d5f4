"""``import_features``: the feature files of xl-vlms become a store like any other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.activations.importing.features import Features, read_features
from shiftlens.activations.importing.modules import chosen_blocks
from shiftlens.activations.importing.plan import Plan, plan_of
from shiftlens.activations.importing.samples import samples_in
from shiftlens.activations.manifest import Manifest
from shiftlens.activations.part_files import begin_files
from shiftlens.activations.selections.imported import Imported
from shiftlens.activations.selections.mean import Mean
from shiftlens.activations.selections.selection import Selection
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.tokens import word
from shiftlens.activations.writing import being_written, pending
from shiftlens.core.errors import DataError, MismatchError
from shiftlens.core.manifest import sha256_file
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.privacy import name_of
from shiftlens.data.sample import Samples
from shiftlens.models.claims import Claim, claim, unknown_identity

_UNKNOWN = -1  # position of a state whose place in the answer the file does not tell


def import_features(
    path: str | Path,
    out: str | Path,
    *,
    model: str | None = None,
    adapter: str | None = None,
    words: Sequence[str] = (),
    module: str | None = None,
    positions: str = "each",
    prompt: str | None = None,
    response: str = "own",
    images: str | Path | None = None,
    keep_names: bool = True,
    progress: Progress | None = None,
) -> ActivationStore:
    """Make a store of a features file that xl-vlms saved (``features/HOOK_NAME.pth``).

    Nothing in the file is run: it is read with ``weights_only``. An import that was interrupted
    goes on where it stopped.

    Args:
        path: the file.
        out: the store's directory.
        model: whose states they are, on your word: a directory, or an id on the hub. Width and
            number of blocks are checked. Where its weights are at hand the store is bound to them
            as if it had been harvested; otherwise it can be learned from and compared with other
            imported stores, and nothing else.
        adapter: a PEFT adapter that was on in the model.
        words: the token of interest, where there was one: the file does not say it.
        module: the one whose states are kept; all blocks of the file by default.
        positions: of several tokens a sample, keep a state of ``each``, or their ``mean``, which is
            what xl-vlms makes of them.
        prompt: what was asked, where the file does not say it.
        response: whose text it was: the model's ``own``, or ``given``.
        images: a folder that holds the pictures here; the file has the paths of another machine.
        keep_names: keep names of pictures; without them, see ``shiftlens.data.privacy``.
        progress: who is told how far it is.

    Returns:
        the finished store: a row a state. Samples without the token of interest are counted as
        missed.

    Raises:
        DataError: the file cannot be read, is of another layout, or holds states that are not
            finite, of several widths, or of modules other than blocks and the final norm.
        MismatchError: the model has another width or fewer blocks, or ``out`` holds another store.
        MachineError: the disk is full.
    """
    found, target = Path(path), _folder(out)
    planned = planned_import(found, module=module, positions=positions, words=words)
    _check(model, adapter, response)
    claimed = None if model is None else claim(model, adapter)
    site = _site(planned, claimed, model, words)
    samples, data = samples_in(planned.features, prompt, images, keep_names=keep_names)
    identity: dict[str, Any] = {
        **_whose(planned, claimed, sha256_file(found)),
        "data": data,
        "site": site.describe(),
        "text": response,
        "options": {"positions": positions},
    }
    about = {"model": model, "adapter": adapter, "versions": {"shiftlens": version("shiftlens")}}
    work = _Work(planned, site, samples, target, tuple(words))
    make = partial(Manifest, target, identity, about, len(planned.parts()))
    with being_written([make]) as (manifest,):
        _run(work, manifest, progress or Silent())
    return ActivationStore.open(target)


@dataclass(frozen=True)
class _Work:
    """What all parts of an import have in common."""

    planned: Plan
    site: Site
    samples: Samples
    root: Path
    words: tuple[str, ...]


def _folder(out: str | Path) -> Path:
    if "://" in str(out):
        raise DataError(
            f"{out} is an address",
            allowed="a folder of this machine",
            remedy="import into a folder, and copy that there",
        )
    return Path(out)


def _check(model: str | None, adapter: str | None, response: str) -> None:
    if adapter is not None and model is None:
        raise DataError(f"the adapter {adapter} is of a model", remedy="name the model too")
    if response not in ("own", "given"):
        raise DataError(f"unknown response {response!r}", allowed="own, given")


def _whose(planned: Plan, claimed: Claim | None, source: str) -> dict[str, Any]:
    """Which model the states are of, and on whose word."""
    own = None if claimed is None else claimed.identity
    dtype = str(planned.dtype).removeprefix("torch.")
    return {
        "model": unknown_identity(source) if own is None else {**own, "dtype": dtype},
        "source": {
            "format": "xl-vlms features",
            "sha256": source,
            "modules": [one.name for one in planned.blocks],
            "model": "unknown" if own is None else "as the user says",
        },
    }


def _run(work: _Work, manifest: Manifest, listener: Progress) -> None:
    """Write the parts that the store lacks."""
    parts = work.planned.parts()
    listener.start(f"importing {work.planned.features.path.name}", len(work.samples))
    try:
        for number in pending([manifest], (1, 1)):
            manifest.add(number, _part(work, number, parts[number]))
            listener.advance(len(parts[number]))
    finally:
        listener.stop()


def planned_import(
    path: Path, *, module: str | None, positions: str, words: Sequence[str] = ()
) -> Plan:
    """What would be imported; no state is read and nothing is written.

    Raises:
        DataError: see ``import_features``.
    """
    if positions not in ("each", "mean"):
        raise DataError(f"unknown positions {positions!r}", allowed="each, mean")
    features = read_features(path)
    blocks = chosen_blocks(features.modules, module, path.name)
    planned = plan_of(features, blocks, mean=positions == "mean")
    if words and positions == "each" and max(planned.sizes) > 1:
        raise DataError(
            f"{path} holds up to {max(planned.sizes)} states a sample, and one token of interest "
            "has one",
            remedy="leave the words out, or take the mean: positions='mean', --positions mean",
        )
    return planned


def _site(planned: Plan, claimed: Claim | None, model: str | None, words: Sequence[str]) -> Site:
    """Where the states were taken, as far as file and model tell."""
    tokens: Selection = word(*words) if words else Imported(_hook(planned.features))
    if planned.mean:
        tokens = Mean(tokens)
    layers = tuple(one.layer for one in planned.blocks if one.layer is not None)
    if claimed is not None:
        _require_fit(planned, claimed, model, layers)
    if layers:
        return Site(layers[0] if len(layers) == 1 else layers, tokens)
    if claimed is None:
        raise DataError(
            f"{planned.features.path} holds states behind the final norm, and does not say how "
            "many blocks come before it",
            remedy="name the model: its settings say it, --model NAME",
        )
    return Site(claimed.address.n_layers - 1, tokens, normed=True)


def _require_fit(planned: Plan, claimed: Claim, model: str | None, layers: Sequence[int]) -> None:
    address, path = claimed.address, planned.features.path
    if address.d != planned.d:
        raise MismatchError(
            f"{path} holds states of width {planned.d}",
            allowed=f"{model} has a residual stream of width {address.d}",
        )
    if layers and max(layers) >= address.n_layers:
        raise MismatchError(
            f"{path} holds states of layer {max(layers)}",
            allowed=f"{model} has layers 0..{address.n_layers - 1}",
        )


def _hook(features: Features) -> str:
    """What xl-vlms calls its choice of tokens, by the part of the file's name that is its own."""
    known = (
        "save_hidden_states_for_token_of_interest_class",
        "save_hidden_states_for_token_of_interest",
        "save_hidden_states_given_token_start_end_idx",
        "save_hidden_states_given_token_idx",
        "save_hidden_states",
    )
    return next((one for one in known if features.path.name.startswith(one)), "")


def _part(work: _Work, part: int, numbers: range) -> dict[str, Any]:
    """One range of samples, read from the file and written."""
    states: dict[str, list[Tensor]] = {}
    rows: list[dict[str, Any]] = []
    kept = 0
    for number in numbers:
        size = work.planned.sizes[number]
        if not size:
            rows.append(_row(work, number, None, _UNKNOWN))
            continue
        rows += [_row(work, number, kept + place, place) for place in range(size)]
        for block, tensor in work.planned.states(number):
            layer = work.site.layers[0] if block.layer is None else block.layer
            states.setdefault(f"layer.{layer}", []).append(tensor)
        kept += size
    matched = sum(work.planned.sizes[number] > 0 for number in numbers)
    counts = {"matched": matched, "missed": len(numbers) - matched, "failed": 0}
    tensors = {name: torch.cat(pieces) for name, pieces in states.items()}
    return begin_files(work.root, part, rows, tensors, counts, ())()


def _row(work: _Work, number: int, state: int | None, place: int) -> dict[str, Any]:
    sample, responses = work.samples[number], work.planned.features.responses
    return {
        "sample_id": sample.id,
        "image": name_of(sample),
        "prompt": sample.prompt,
        "response": "" if responses is None else responses[number],
        "token_ids": [],
        "truncated": False,
        "status": "missed" if state is None else "matched",
        "word": work.words[0] if len(work.words) == 1 and state is not None else "",
        "position": place if isinstance(work.site.tokens, Imported) else _UNKNOWN,
        "state": state,
        "labels": "{}",
    }
