"""Loading a processor where torchvision is absent, and saying which one it is."""

import hashlib
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.core.manifest import digest, read_json
from shiftlens.models.processing.picture_functions import image_processor_for, with_working_pictures
from shiftlens.models.processing.processor_classes import unhidden

PLAIN = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""Stands for no template: pictures and prompt as they are, for models that continue a text."""

# Files that may name the class of a processor.
_NAMING = (
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "tokenizer_config.json",
)
# What a saved image processor says about files and versions, not about pictures.
_VOLATILE = {"_name_or_path", "name_or_path", "transformers_version", "processor_class"}


def load_processor(directory: Path, name: str, *, template: str | Path | None = None) -> Any:
    """Load the processor of a model, with a padding token and without a video processor if need be.

    Args:
        directory: the model's files.
        name: what the user calls the model.
        template: a chat template in place of the files' own: a file, its text, or "plain".

    Raises:
        DataError: there is none, it cannot be read, or it takes no pictures; or there is no such
            template.
    """
    from transformers import AutoProcessor

    try:
        try:
            processor: Any = AutoProcessor.from_pretrained(directory, local_files_only=True)
        except (ImportError, ValueError) as error:
            # torchvision, Torchvision; or any package that the constructor itself asks for.
            if "ision" not in str(error) and not isinstance(error, ImportError):
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
    if template is not None:
        processor.chat_template = read_template(template)
    return with_working_pictures(processor, directory)


def read_template(template: str | Path) -> str:
    """A chat template from a file, from its own text, or ``PLAIN`` for the word "plain".

    Raises:
        DataError: it is none of them.
    """
    if template == "plain":
        return PLAIN
    if "{" in str(template):
        return str(template)
    try:
        return Path(template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the chat template {template} cannot be read",
            allowed='a file, the text of a template, or "plain" for a model that continues a text',
        ) from error


def _without_video(directory: Path) -> Any:
    """Put a processor together by hand: its video part needs torchvision, pictures do not."""
    known = pictures_only(_processor_class(directory))
    settings, _ = known.get_processor_dict(directory, local_files_only=True)
    made = [_part(known, name, directory) for name in known.get_attributes()]
    try:
        return known.from_args_and_dict(made, settings)
    except ImportError as error:
        with _standing_in(known.__base__, error):
            return known.from_args_and_dict(made, settings)


def _processor_class(directory: Path) -> Any:
    """The class that the files name, in the order in which transformers asks them."""
    import transformers
    from transformers import AutoConfig
    from transformers.models.auto import processing_auto

    for file in _NAMING:
        if (directory / file).is_file():
            named = read_json(directory / file).get("processor_class")
            if named and hasattr(transformers, named):
                return unhidden(getattr(transformers, named))
    config = AutoConfig.from_pretrained(directory, local_files_only=True)
    names: Any = vars(processing_auto)["PROCESSOR_MAPPING_NAMES"]
    return unhidden(getattr(transformers, names[config.model_type]))


def _part(known: Any, name: str, directory: Path) -> Any:
    """A part of a processor by the name that its constructor has for it; only what is needed."""
    from transformers import AutoImageProcessor

    if "tokenizer" in name:
        # The family's own way where it has one.
        return known._load_tokenizer_from_pretrained(name, directory, local_files_only=True)
    if name != "image_processor":
        return None
    try:
        return AutoImageProcessor.from_pretrained(directory, local_files_only=True)
    except (ImportError, ValueError) as error:
        if "ision" not in str(error):
            raise
        return image_processor_for(directory)


@contextmanager
def _standing_in(kind: Any, error: ImportError) -> Generator[None]:
    """Let a constructor believe that the optional package is there which it asks for by name.

    transformers sets a package's name to ``None`` in the modules that would use it. A constructor
    that asks for it although pictures need none of it (SmolVLM spells numbers of video frames)
    finds something there while this context lasts; its use afterwards would still fail.
    """
    module = sys.modules[kind.__module__]
    name = next(iter(re.findall(r"[Pp]ackage `(\w+)`", str(error))), "")
    if vars(module).get(name, module) is not None:
        raise error
    setattr(module, name, module)
    try:
        yield
    finally:
        setattr(module, name, None)


def pictures_only(kind: Any) -> Any:
    """A processor class that may do without its video or audio part, under the same name."""
    from transformers import ProcessorMixin

    def check(self: Any, name: str, part: Any) -> Any:
        return None if part is None else kind.check_argument_for_proper_class(self, name, part)

    own = {
        "check_argument_for_proper_class": check,
        # A family's own one asks its video part how many frames to take.
        "apply_chat_template": ProcessorMixin.apply_chat_template,
    }
    return type(kind.__name__, (kind,), own)


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
