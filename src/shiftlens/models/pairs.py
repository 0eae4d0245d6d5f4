"""Whether two models are a base and its fine-tune: compared field by field."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.models.adapters import Attachment, base_tensors
from shiftlens.models.checkpoints import quantisation
from shiftlens.models.model import Model
from shiftlens.models.processing.besides import processor_beside
from shiftlens.models.processing.placeholders import picture_token
from shiftlens.models.processing.processors import chat_template

ALLOWABLE = {
    "chat template": "copy the base's chat template into the tuned model, or the other way round",
    "picture processing": "copy the base's processor files into the tuned model",
    "dtype": "load both in one type (dtype=...)",
    "generation options": "copy the base's generation_config.json into the tuned model",
    "base revision": "load the base at the revision that the adapter names (revision=...)",
}
"""Differences that can be allowed by name, each with what takes it away."""

# What of a generation configuration decides greedy responses; the rest is sampling, or is set
# aside by ``generate``.
_DECIDING = (
    "bad_words_ids",
    "begin_suppress_tokens",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "guidance_scale",
    "min_new_tokens",
    "sequence_bias",
    "stop_strings",
)
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
# What a saved image processor says about files, versions and its own class, not about pictures.
_ABOUT_FILES = {
    "_name_or_path",
    "name_or_path",
    "transformers_version",
    "processor_class",
    "image_processor_type",
    "feature_extractor_type",
}


def require_allowable(allow: Collection[str]) -> None:
    """Refuse names of differences that there are not, or that cannot be allowed.

    Raises:
        DataError: names the first of them.
    """
    names = (allow,) if isinstance(allow, str) else tuple(allow)
    for name in names:
        if name not in ALLOWABLE:
            raise DataError(
                f"a difference in {name!r} cannot be allowed",
                allowed=f"{_allowable()}; never shapes, width, layers or vocabulary",
                remedy=f"name it as the error did, for example allow=({next(iter(ALLOWABLE))!r},)",
            )


def check_pair(base: Model, tuned: Model, allow: Collection[str] = ()) -> dict[str, str]:
    """Refuse two full models whose states could not be compared.

    Args:
        base: the original model; it may have an adapter on.
        tuned: the fine-tuned one.
        allow: differences that are meant, by name.

    Returns:
        the differences that were allowed: name, and both values.

    Raises:
        DataError: a name in ``allow`` is none that can be allowed.
        MismatchError: they differ in architecture, size, vocabulary, or in what they make of the
            same sample; the message names the field and both values.
    """
    require_allowable(allow)
    # Packed weights have shapes of their own: then what the modules take and give is compared.
    packed = any(quantisation(model.hf.config) for model in (base, tuned))
    ours, theirs = (pair_fields(model, packed=packed) for model in (base, tuned))
    return compare_fields(str(base), str(tuned), ours, theirs, allow)


def check_adapter(
    base: Model, tuned: Model, attachment: Attachment, allow: Collection[str] = ()
) -> dict[str, str]:
    """Refuse an adapter that was trained on another revision of the base, or asked otherwise.

    Trainers often save tokenizer and processor beside the adapter: what it saw in training.

    Args:
        base: the original model, as it was loaded.
        tuned: the model with the adapter on; it takes over a processor saved beside the adapter
            where that differs and the difference is allowed.
        attachment: what was counted when the adapter was put in.
        allow: differences that are meant, by name.

    Returns:
        the differences that were allowed: name, and both values.

    Raises:
        DataError: a name in ``allow`` is none that can be allowed, or what lies beside the adapter
            cannot be read.
        MismatchError: it differs from the base in what is not allowed.
    """
    require_allowable(allow)
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    loaded, named = base.origin.revision, attachment.base_revision
    if loaded and named and _other_commit(loaded, named):
        ours["base revision"], theirs["base revision"] = loaded, named
    beside = None if tuned.origin.adapter is None else processor_beside(tuned.origin.adapter, tuned)
    if beside is not None:
        ours |= _asked(base.processor)
        theirs |= _asked(beside)
    allowed = compare_fields(str(base), str(tuned), ours, theirs, allow)
    if beside is not None and allowed.keys() - {"base revision"}:
        tuned.processor = beside
    return allowed


def _other_commit(loaded: str, named: str) -> bool:
    """Whether two revisions are commits and not the same; a branch may be anything by now."""
    if not (_COMMIT.fullmatch(loaded) and _COMMIT.fullmatch(named)):
        return False
    return not (loaded.startswith(named) or named.startswith(loaded))


def compare_fields(
    base: str,
    tuned: str,
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    allow: Collection[str] = (),
) -> dict[str, str]:
    """Refuse two models by what ``pair_fields`` found of each, which needs neither in memory.

    Args:
        base, tuned: as messages call them.
        ours, theirs: what was found; every field of the first is looked up in the second.
        allow: differences that are meant, by name.

    Returns:
        the differences that were allowed: name, and both values.

    Raises:
        MismatchError: they differ in what is not allowed.
    """
    names = {allow} if isinstance(allow, str) else {*allow}
    allowed: dict[str, str] = {}
    for field, value in ours.items():
        if value == theirs[field]:
            continue
        values = _values(value, theirs[field])
        if field not in names:
            raise _not_a_pair(base, tuned, field, values)
        allowed[field] = values
    return allowed


def _not_a_pair(base: str, tuned: str, field: str, values: str) -> MismatchError:
    given = f"{base} and {tuned} are not a pair: they differ in {field}, {values}"
    if field not in ALLOWABLE:
        return MismatchError(
            given,
            allowed=f"only these may differ, and only by name: {_allowable()}",
            remedy="give a model and a fine-tuned version of it, each with its own tokenizer files"
            if field == "vocabulary"
            else "give a model and a fine-tuned version of it",
        )
    return MismatchError(
        given,
        allowed=f"the same on both sides; what can be allowed by name: {_allowable()}",
        remedy=f"{ALLOWABLE[field]}; if the difference is meant, pass allow=({field!r},)",
    )


def _allowable() -> str:
    return ", ".join(ALLOWABLE)


def pair_fields(model: Model, *, packed: bool) -> dict[str, Any]:
    """What must agree between two full models of a pair, by name; weights are not looked at.

    Args:
        model: loaded, or a skeleton without weights.
        packed: one of the two is quantised: compare what modules take and give, not tensors.
    """
    asked = _asked(model.processor)
    return {
        "architecture": type(model.hf).__name__,
        "number of layers": model.address.n_layers,
        "width": model.address.d,
        # Before the shapes: a fine-tune that adds tokens differs in both, and this says which.
        "vocabulary": asked["vocabulary"],
        "shape of the tensors": _shapes(model.hf, packed),
        "picture token": picture_token(model.hf, model.processor),
        **asked,
        "dtype": _dtype(model),
        "generation options": _generation(model),
    }


def _asked(processor: Any) -> dict[str, Any]:
    """What a sample becomes before a model sees it."""
    return {
        "vocabulary": dict(processor.tokenizer.get_vocab()),
        "chat template": chat_template(processor),
        "picture processing": _pictures(processor),
    }


def _pictures(processor: Any) -> dict[str, str]:
    """Every setting of the picture processing, pixel limits among them, and of the placeholders."""
    pictures = processor.image_processor.to_dict()
    around = {
        name: value
        for name, value in vars(processor).items()
        if isinstance(value, int | float | str) and name != "chat_template"
    }
    fields = around | {k: v for k, v in pictures.items() if k not in _ABOUT_FILES}
    return {name: str(value) for name, value in fields.items() if value is not None}


def _shapes(hf: Any, packed: bool) -> dict[str, tuple[int, ...]]:
    shapes = {name: tuple(tensor.shape) for name, tensor in base_tensors(hf).items()}
    if not packed:
        return shapes
    linear = {
        name: (int(module.out_features), int(module.in_features))
        for name, module in hf.named_modules()
        if hasattr(module, "in_features") and hasattr(module, "out_features")
    }
    within = tuple(f"{name}." for name in linear)
    kept = {name: shape for name, shape in shapes.items() if not name.startswith(within)}
    return kept | {
        f"{name}.weight": shape for name, shape in linear.items() if ".lora_" not in name
    }


def _dtype(model: Model) -> str:
    method = quantisation(model.hf.config)
    return str(model.dtype) + (f", quantised ({method})" if method else "")


def _generation(model: Model) -> dict[str, Any]:
    settings = model.hf.generation_config
    ends = settings.eos_token_id
    ends = model.tokenizer.eos_token_id if ends is None else ends
    options = {name: getattr(settings, name, None) for name in _DECIDING}
    options |= {
        "eos_token_id": sorted({*(ends if isinstance(ends, list) else [ends])} - {None}),
        "suppress_tokens": sorted(settings.suppress_tokens or ()),
    }
    return {name: value for name, value in options.items() if value}


def _values(ours: Any, theirs: Any) -> str:
    if isinstance(ours, dict):
        names = [n for n in sorted(ours.keys() | theirs.keys()) if ours.get(n) != theirs.get(n)]
        shown = [f"{n} is {ours.get(n, 'absent')} and {theirs.get(n, 'absent')}" for n in names[:3]]
        return ", ".join(shown) + (f", and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{_short(ours, theirs)} and {_short(theirs, ours)}"


def _short(value: Any, other: Any) -> str:
    """A value in a message: digests by their beginning, long texts from where they differ."""
    if not isinstance(value, str) or len(value) <= 60:
        return str(value)
    if re.fullmatch(r"[0-9a-f]{64}", value):
        return value[:12]
    at = next(
        (i for i, (a, b) in enumerate(zip(value, str(other), strict=False)) if a != b),
        min(len(value), len(str(other))),
    )
    start = max(0, at - 10)
    return repr(f"{'...' if start else ''}{value[start : at + 30]}...")
