"""Whether two full models are a base and its fine-tune: compared field by field."""

from typing import Any

from shiftlens.core.errors import MismatchError
from shiftlens.models.model import Model
from shiftlens.models.placeholders import picture_token
from shiftlens.models.processors import describe_processor

_REMEDIES = {
    "chat template": "copy the base's chat template into the tuned model, or the other way round",
    "picture processing": "copy the base's processor files into the tuned model",
}


def check_pair(base: Model, tuned: Model) -> None:
    """Refuse two models whose states could not be compared.

    Raises:
        MismatchError: they differ in architecture, size, vocabulary, or in what they make of the
            same sample; the message names the field and both values.
    """
    ours, theirs = _fields(base), _fields(tuned)
    for field, value in ours.items():
        if value != theirs[field]:
            raise MismatchError(
                f"{base.name} and {tuned.name} are not a pair: {field} differs",
                allowed=_values(value, theirs[field]),
                remedy=_REMEDIES.get(field, "give a model and a fine-tuned version of it"),
            )


def _fields(model: Model) -> dict[str, Any]:
    processor = describe_processor(model.processor)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.hf.state_dict().items()}
    return {
        "architecture": type(model.hf).__name__,
        "number of layers": model.address.n_layers,
        "width": model.address.d,
        "shape of the tensors": shapes,
        "vocabulary": processor["tokenizer"],
        "picture token": picture_token(model.hf, model.processor),
        "chat template": processor["template"],
        "picture processing": processor["processor"],
        "dtype": str(model.dtype),
    }


def _values(ours: Any, theirs: Any) -> str:
    if isinstance(ours, dict):
        names = sorted(ours.keys() | theirs.keys())
        name = next(name for name in names if ours.get(name) != theirs.get(name))
        return f"{name} is {ours.get(name, 'absent')} and {theirs.get(name, 'absent')}"
    shown = [str(value)[:12] if isinstance(value, str) and len(value) == 64 else value
             for value in (ours, theirs)]  # fmt: skip
    return f"{shown[0]} and {shown[1]}"
