"""The model card of a baked checkpoint, written from its receipt."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shiftlens.steering.exporting.baking.oven import Oven

CARD = "README.md"

_TEXT = """\
---
library_name: transformers
pipeline_tag: image-text-to-text
{front}tags: [steering, shiftlens]
---

# {title}

This is {base} with a steering **in its weights**. It needs no plugin: whatever loads the original
loads this. It answers differently from the original on purpose.

{description}

| vector | made by | layers | operation | strength | length | length / states' mean length |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

## What was changed

{changed}
Everything else is the original's, bit for bit. `{receipt}` names every tensor that was changed,
with its SHA-256 before and after.

## How it was checked

Loaded from these files and compared with {reference}, at {positions} positions
({pictures}), in {dtype}: the largest difference of a logit is {difference:.2g} (allowed:
{allowed:.2g}); the steering itself moves logits by up to {unsteered:.3g}. Of {responses} greedy
responses {same} begin with the same tokens.
{notes}
## Rollback

{rollback}

## Before it is used

Nothing above says that the steering does what it was made for: that was measured elsewhere, or not
at all. It acts on every prompt, also on those that nobody thought of: measure what it must not
change as well.
"""

_HOOKED = "the original steered by hooks"
# Hooks after every block do less than an ablation in weights: the notes say by how much.
_BEHIND = "the original in which nothing reads the direction any more"


def card(oven: "Oven", receipt: dict[str, Any]) -> str:
    """The card as Markdown, with the front matter of model hubs.

    Args:
        oven: what was baked.
        receipt: what was written of it.
    """
    check = receipt["check"]
    name = public_name(str(oven.base.get("model", "the original")))
    own = oven.steering.licence
    told = {
        "base_model": name if "/" in name else "",
        **({"license": own} if own else _licence_of(oven.stored.root)),
    }
    # Written as JSON, which YAML reads and nothing can break out of.
    front = "".join(f"{key}: {json.dumps(text)}\n" for key, text in told.items() if text)
    notes = "".join(f"\n- {_line(note)}" for note in receipt["notes"])
    undo = receipt["undo"]["possible"]
    return _TEXT.format(
        front=front,
        title=_line(oven.steering.name),
        base=f"`{name}`",
        description=_line(oven.steering.description) or "Nobody has described it.",
        rows="\n".join(_row(one) for one in receipt["interventions"]),
        changed=_changed(receipt),
        receipt="baked.json",
        reference=_BEHIND if "hooks_after_blocks" in check else _HOOKED,
        positions=check["positions"],
        pictures="with a picture" if check["pictures"] else "of text alone",
        dtype=check["dtype"],
        difference=check["max_difference"],
        allowed=check["allowed"],
        unsteered=check["unsteered"],
        responses=check["greedy_responses"],
        same=check["equal_responses"],
        notes=f"{notes}\n" if notes else "",
        rollback="Serve the original again"
        + (
            "; or get it back from this one, bit for bit: "
            "`shiftlens.steering.exporting.baking.unbake(folder, out)`."
            if undo
            else ". It cannot be got back from this one: matrices were changed."
        ),
    )


def public_name(name: str) -> str:
    """A hub's id as it is; of a path on somebody's disk the last part alone."""
    local = name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).exists()
    return Path(name).name if local else name


def _row(one: dict[str, Any]) -> str:
    where = ", ".join(str(layer) for layer in one["layers"])
    norm = "" if one["norm"] is None else f"{one['norm']:.4g}"
    dose = "" if one["dose"] is None else f"{one['dose']:.3g}"
    cells = (one["name"], one["kind"], where, one["operator"], f"{one['strength']:g}", norm, dose)
    return "| " + " | ".join(_line(str(cell)).replace("|", "\\|") for cell in cells) + " |"


def _changed(receipt: dict[str, Any]) -> str:
    lines = [f"- `{name}` is `{told['after']}`" for name, told in receipt["settings"].items()]
    if receipt["changed"]:
        lines.append(f"- {len(receipt['changed'])} tensors have other values")
    if receipt["added"]:
        lines.append(f"- {len(receipt['added'])} tensors are new")
    return "\n".join(lines) + "\n"


def _licence_of(root: Path) -> dict[str, str]:
    """What the original's card says of its licence, if it has one."""
    from huggingface_hub.repocard import metadata_load

    path = root / CARD
    try:
        told = metadata_load(path) if path.is_file() else None
    except Exception:  # somebody else's card: whatever is wrong, it says nothing
        return {}
    found = {key: (told or {}).get(key) for key in ("license", "license_name", "license_link")}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _line(text: str) -> str:
    """One line of Markdown in which nothing of the text is markup."""
    plain = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\`*_<>[]" else sign for sign in plain)
