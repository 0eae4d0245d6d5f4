"""What ``harvest`` would cost, and what it kept, in eighty columns."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.cli.steering_options import layer_numbers
from shiftlens.cli.terminal import console, print_json, table

if TYPE_CHECKING:
    from shiftlens.activations.selections.selection import Selection
    from shiftlens.activations.store import ActivationStore

_BYTES = {"float16": 2, "bfloat16": 2}  # of a number; 4 in any other type


def cost(
    model: str,
    samples: int,
    chosen: "Selection | None",
    layers: str,
    *,
    models: int,
    generates: bool,
    max_new_tokens: int,
    batch_size: int,
    dtype: str | None,
) -> dict[str, Any]:
    """What a harvest would do, from the model's settings alone.

    Returns:
        ``samples``; ``answers`` that are generated; ``passes`` through the model at most; ``rows``
        and ``bytes`` of states at most, ``None`` where each sample gives as many as it has tokens.

    Raises:
        DataError: there is no such model.
        SiteError: a layer that it does not have.
    """
    from shiftlens.activations.selections.prompt import ImageTokens, TextTokens
    from shiftlens.activations.selections.response import ResponseTokens
    from shiftlens.models.inspecting.looking import inspect

    found = inspect(model)
    patches = found.patches.tokens if found.patches is not None else None
    each: int | None = 1
    if isinstance(chosen, ImageTokens):
        each = patches
    elif isinstance(chosen, ResponseTokens):
        each = max_new_tokens
    elif isinstance(chosen, TextTokens) or getattr(chosen, "every", False):
        each = None
    address = found.address
    blocks: Sequence[int] | None = None
    if address is not None:
        named = layer_numbers(layers)
        blocks = (
            range(address.n_layers)
            if named is None
            else [address.layer(one, model) for one in named]
        )
    rows = None if each is None else models * samples * each
    known = rows is not None and address is not None and blocks is not None
    batches = -(-samples // batch_size)
    return {
        "samples": samples,
        "answers": models * samples if generates else 0,
        "passes": models * batches * (max_new_tokens + 1 if generates else 1),
        "rows": rows,
        "layers": None if blocks is None else len(blocks),
        "bytes": rows * len(blocks) * address.d * _BYTES.get(dtype or "", 4) if known else None,  # pyright: ignore
    }


def print_cost(found: dict[str, Any], *, as_json: bool) -> None:
    """Print what ``cost`` found."""
    if as_json:
        print_json(found)
        return
    rows = "as many rows as there are tokens" if found["rows"] is None else None
    size = "" if found["bytes"] is None else f", {size_text(found['bytes'])}"
    console().print(
        f"{found['samples']} samples, {found['answers']} answers to generate\n"
        f"at most {found['passes']} forward passes\n"
        f"{rows or 'at most ' + str(found['rows']) + ' rows of states'}{size}",
        markup=False,
    )


def described(store: "ActivationStore") -> dict[str, Any]:
    """What a store holds, as JSON."""
    return {
        "store": str(store.path),
        "model": store.about.get("model"),
        "adapter": store.about.get("adapter"),
        "site": store.site.describe(),
        "rows": len(store),
        "samples": dict(store.counts),
        "quarantine": list(store.quarantine),
        "bytes": sum(one.stat().st_size for one in store.path.iterdir() if one.is_file()),
        "fingerprint": store.fingerprint,
    }


def print_stores(stores: "Sequence[ActivationStore]", *, model: str | None) -> None:
    """Print counts, where the states are, and the command that comes next.

    Args:
        stores: one, or base and tuned.
        model: as the user called it, where ``learn`` can be given it as it is.
    """
    out, found = console(), [described(store) for store in stores]
    site = stores[0].site
    lines = [
        (
            Path(one["store"]).name,
            str(one["rows"]),
            *(str(one["samples"][name]) for name in ("matched", "missed", "failed")),
            size_text(one["bytes"]),
        )
        for one in found
    ]
    columns = ("store", "states", "matched", "missed", "failed", "on disk")
    out.print(table("", columns, lines))
    words = getattr(site.tokens, "words", ())
    where = " or ".join(f"“{word}”" for word in words) or site.tokens.kind.replace("_", " ")
    blocks = ", ".join(map(str, site.layers))
    plural = "s" if len(site.layers) > 1 else ""
    out.print(f"states at {where}, after block{plural} {blocks}", markup=False)
    for one in found:
        _print_quarantine(one["quarantine"])
    out.print()
    for one in found:
        out.print(f"  store  {one['store']}", markup=False, soft_wrap=True)
    out.print(f"  next   {_next(stores[0], model)}", markup=False, soft_wrap=True)


def _print_quarantine(quarantine: Sequence[dict[str, str]]) -> None:
    if not quarantine:
        return
    first = quarantine[0]
    others = f" and {len(quarantine) - 1} others" if len(quarantine) > 1 else ""
    text = f"could not be read: {first['id']}{others}: {first['reason']}"
    console().print(text, markup=False, soft_wrap=True)


def _next(store: "ActivationStore", model: str | None) -> str:
    words = ["shiftlens", "learn", str(store.path), "--k", "5,10,20,40"]
    if len(store.layers) > 1:
        words += ["--layer", str(store.layers[-1])]
    return shlex.join([*words, *(["--model", model] if model else [])])


def size_text(size: int) -> str:
    """``312 kB``, ``4.1 MB`` or ``12.0 GB``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"
