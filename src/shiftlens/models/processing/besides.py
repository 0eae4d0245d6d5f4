"""What trainers leave beside an adapter: the processor with which it was trained."""

import copy
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.models.model import Model
from shiftlens.models.processing.processors import chat_template, load_processor

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_PICTURES = ("processor_config.json", "preprocessor_config.json")
_TEMPLATE = "chat_template.jinja"


def processor_beside(directory: Path, model: Model) -> Any | None:
    """The processor of an adapter's directory, completed by the base's where it holds a part.

    Args:
        directory: the adapter's files.
        model: the model with the adapter; its processor is the base's.

    Returns:
        the processor, or ``None`` where the directory holds nothing of one.

    Raises:
        DataError: the files are there and cannot be read.
    """
    holds_tokenizer = any((directory / file).is_file() for file in _TOKENIZER)
    if holds_tokenizer and any((directory / file).is_file() for file in _PICTURES):
        return load_processor(directory, f"{model.adapter}")
    if not holds_tokenizer and not (directory / _TEMPLATE).is_file():
        return None
    made = copy.copy(model.processor)
    if holds_tokenizer:
        made.tokenizer = _tokenizer(directory, model)
    template = _own_template(made.tokenizer) if holds_tokenizer else None
    if (directory / _TEMPLATE).is_file():
        template = (directory / _TEMPLATE).read_text(encoding="utf-8")
    made.chat_template = template or chat_template(model.processor)
    return made


def _tokenizer(directory: Path, model: Model) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"the tokenizer beside adapter {model.adapter} cannot be loaded ({reason})",
            remedy="remove its files if the adapter was trained with the base's tokenizer",
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _own_template(tokenizer: Any) -> str | None:
    template = tokenizer.chat_template
    return template.get("default") if isinstance(template, dict) else template
