"""Loading a processor where torchvision is absent, and saying which one it is."""

import hashlib
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.core.manifest import digest

# What a saved image processor says about files and versions, not about pictures.
_VOLATILE = {"_name_or_path", "name_or_path", "transformers_version", "processor_class"}


def load_processor(directory: Path, name: str) -> Any:
    """Load the processor of a model, with a padding token and without a video processor if need be.

    Args:
        directory: the model's files.
        name: what the user calls the model.

    Raises:
        DataError: there is none, it cannot be read, or it takes no pictures.
    """
    from transformers import AutoProcessor

    try:
        try:
            processor: Any = AutoProcessor.from_pretrained(directory, local_files_only=True)
        except (ImportError, ValueError) as error:
            if "ision" not in str(error):  # torchvision, Torchvision
                raise
            processor = _without_video(directory)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise DataError(
            f"the processor of {name} cannot be loaded ({_first_line(error)})",
            allowed="a model directory holds config.json, weights, tokenizer and processor files",
            remedy="copy the processor and tokenizer files of the original model into it",
        ) from error
    if not hasattr(processor, "image_processor"):
        raise DataError(
            f"the processor of {name} takes no pictures ({type(processor).__name__})",
            allowed="a processor with an image processor and a tokenizer",
            remedy="copy the processor files of the original model into its directory",
        )
    tokenizer = processor.tokenizer
    if tokenizer.pad_token is None:
        # Padding is masked, so any token serves; without one, batches are not possible.
        tokenizer.pad_token = tokenizer.eos_token
    return processor


def _without_video(directory: Path) -> Any:
    """Put a processor together by hand: its video part needs torchvision, pictures do not."""
    import transformers
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer
    from transformers.models.auto import processing_auto

    config = AutoConfig.from_pretrained(directory, local_files_only=True)
    names: Any = vars(processing_auto)["PROCESSOR_MAPPING_NAMES"]
    known = pictures_only(getattr(transformers, names[config.model_type]))
    settings, _ = known.get_processor_dict(directory, local_files_only=True)
    parts = {"tokenizer": AutoTokenizer, "image_processor": AutoImageProcessor}
    made = [
        parts[part].from_pretrained(directory, local_files_only=True) if part in parts else None
        for part in known.get_attributes()
    ]
    return known.from_args_and_dict(made, settings)


def pictures_only(kind: Any) -> Any:
    """A processor class that may do without its video or audio part, under the same name."""

    def check(self: Any, name: str, part: Any) -> Any:
        return None if part is None else kind.check_argument_for_proper_class(self, name, part)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check})


def describe_processor(processor: Any) -> dict[str, str | None]:
    """Digests of what turns pictures and text into inputs.

    Returns:
        ``processor`` (how pictures are prepared), ``tokenizer`` (the vocabulary) and ``template``
        (the chat template; ``None`` where there is none).
    """
    pictures = processor.image_processor.to_dict()
    template = chat_template(processor)
    return {
        "processor": digest({k: str(v) for k, v in pictures.items() if k not in _VOLATILE}),
        "tokenizer": digest(sorted(processor.tokenizer.get_vocab().items())),
        "template": hashlib.sha256(template.encode()).hexdigest() if template else None,
    }


def chat_template(processor: Any) -> str | None:
    """The chat template of a processor or of its tokenizer; ``None`` if neither has one."""
    template = getattr(processor, "chat_template", None) or processor.tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return template or None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
