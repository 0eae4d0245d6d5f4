"""The README card of a steering: YAML front matter for hubs, and what a reader must know."""

import json
import re
from typing import TYPE_CHECKING

from shiftlens.steering.gates import Gate
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.scopes import read_scope

if TYPE_CHECKING:
    from shiftlens.steering.keeping.steering import Steering

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_MARKS = re.compile(r"[\\`*_{}\[\]<>()#+!|~]")


def card(steering: "Steering") -> str:
    """Markdown with front matter that ``huggingface_hub.ModelCard`` reads.

    The base model is named only where it was an id of a hub: paths of a machine are nobody's
    business.
    """
    rows = "\n".join(_row(one) for one in steering.interventions)
    pictures = "".join(
        f"\n![{_plain(one.caption)}](thumbnail-{at}.{one.ending})\n"
        for at, one in enumerate(steering.thumbnails)
    )
    said = _plain(steering.description) or "No description was given."
    return f"""---
{_front(steering)}
---

# {_plain(steering.name)}

{said}
{pictures}
| vector | kind | after block | strength | scope | operator | gate | dose |
|---|---|---|---|---|---|---|---|
{rows}

A dose is the length of what is added over the mean length of the states there. Block N is the
block with index N, counted from 0; its output is `hidden_states[N + 1]`.

## Use

```python
import shiftlens as sl

model = sl.load_model({json.dumps(_models(steering)[:1] or ["the model"])[1:-1]})
steering = sl.Steering.load("this/folder")
with sl.steer(model, steering) as receipt:
    print(model.generate("picture.jpg", "What is in the picture?"))
print(receipt.summary())
```

The two files are safetensors and JSON: nothing in them runs. A model with other weights is refused.
For other engines: `shiftlens export this/folder --to gguf -o out` (see `shiftlens export --help`).
"""


def _front(steering: "Steering") -> str:
    """YAML; every text is written as JSON, which YAML reads and nothing can break out of."""
    lines = [f"license: {json.dumps(steering.licence)}"] if steering.licence else []
    lines.append("library_name: shiftlens")
    models = _models(steering)
    if models:
        lines += ["base_model:", *(f"- {json.dumps(one)}" for one in models)]
    tags = ["shiftlens", "steering-vector", "activation-steering"]
    return "\n".join([*lines, "tags:", *(f"- {tag}" for tag in tags)])


def _models(steering: "Steering") -> list[str]:
    """Ids of the models that the vectors come from, where they are ids of a hub."""
    named = [(one.vector.provenance.get("model") or {}) for one in steering.interventions]
    found = [str(one.get("model", "")) for one in named if isinstance(one, dict)]
    return list(dict.fromkeys(one for one in found if _HUB_ID.fullmatch(one)))


def _row(one: Intervention) -> str:
    from shiftlens.steering.keeping.steering import dose_of

    vector, dose = one.vector, dose_of(one)["dose"]
    layers = (vector.layer,) if one.layers is None else one.layers
    where = "" if one.tower == "language" else f" of the {one.tower}"
    cells = (
        _plain(vector.name),
        _plain(vector.kind),
        f"{', '.join(map(str, layers))}{where}",
        f"{one.strength:g}",
        _plain(str(read_scope(one.scope))),
        _plain(one.operator.name) if one.operator is not None else "-",
        _plain(_gate(one.gate)),
        "-" if dose is None else f"{dose:.3g}",
    )
    return f"| {' | '.join(cells)} |"


def _gate(gate: Gate | None) -> str:
    return "none" if gate is None else str(gate.describe().get("gate"))


def _plain(text: str) -> str:
    """A text from a file in one line of Markdown, with no mark of it alive."""
    return _MARKS.sub(lambda mark: f"\\{mark[0]}", " ".join(text.split()))
