"""From a prompt to the text that a model reads: chat templates, and plain text without one."""

from collections.abc import Sequence
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import placeholder_texts
from shiftlens.models.processing.processors import PLAIN, chat_template
from shiftlens.models.processing.readable import places_itself

# A template that was not written for a list of parts prints the list itself.
_PRINTED_LIST = ("'type'", '"type"')
# Families that continue a text and were never given a chat template: model types.
_COMPLETE = frozenset(
    (
        "blip-2",
        "chameleon",
        "fuyu",
        "git",
        "idefics",
        "instructblip",
        "kosmos-2",
        "paligemma",
        "pix2struct",
    )
)


def render(model: Model, prompt: str, n_images: int, system: str | None = None) -> str:
    """The prompt as the model's chat template writes it, with a place for each picture.

    A model that continues plain text (loaded with ``template="plain"``, or of a family that never
    had a template) gets its pictures and then the prompt as it is.

    Args:
        model: whose template.
        prompt: what the user says.
        n_images: how many pictures come before it.
        system: what the model is told beforehand.

    Raises:
        DataError: the model has no template, the template cannot hold what is given, or the prompt
            holds the model's own placeholder of a picture.
    """
    marks = placeholder_texts(model.processor)
    for what, given in (("prompt", prompt), ("system prompt", system or "")):
        if any(mark in given for mark in marks):
            raise DataError(
                f"the {what} {given!r} contains the model's placeholder for a picture or a video",
                remedy="leave the placeholder out: the chat template puts it where it belongs",
            )
    if is_plain(model):
        return _plain(model, prompt, n_images, system)
    for messages in _conversations(model.processor, prompt, n_images, system):
        text = _apply(model.processor, messages)
        if text is not None and _holds(text, prompt, n_images, marks, system):
            return text
    raise _cannot_hold(model, n_images, system)


def is_plain(model: Model) -> bool:
    """Whether prompts are given to a model as plain text.

    Raises:
        DataError: the model has no chat template, and nothing says that it needs none.
    """
    found = chat_template(model.processor)
    if found is None and model.hf.config.model_type not in _COMPLETE:
        raise DataError(
            f"{model.name} has no chat template, so it is not known how to ask it",
            allowed="a chat_template.jinja beside its files, as the original model has one",
            remedy="copy that file, or, for a model that continues plain text, "
            'load_model(..., template="plain")',
        )
    return found is None or found == PLAIN


def _plain(model: Model, prompt: str, n_images: int, system: str | None) -> str:
    if system:
        raise DataError(
            f"{model.name} continues plain text, which has no place for a system prompt",
            remedy="write it into the prompt",
        )
    token = _image_token(model.processor)
    if n_images and (places_pictures(model.processor) or places_itself(model.processor, token)):
        return prompt
    return f"{token * n_images}{prompt}"


def places_pictures(processor: Any) -> bool:
    """Whether a processor puts a picture before the text by itself, asked or not (Fuyu).

    Such a one prepares text beside pictures otherwise than text alone.
    """
    lay_out = getattr(processor, "prepare_inputs_layout", None)
    if lay_out is None:
        return False
    from PIL import Image

    token = _image_token(processor)
    _, texts, *_ = lay_out(images=[[Image.new("RGB", (32, 32))]], text=[token])
    return isinstance(texts, list) and str(texts[0]).count(token) > 1


def _conversations(
    processor: Any, prompt: str, n_images: int, system: str | None
) -> list[list[dict[str, Any]]]:
    """The ways in which templates want a conversation, the standard one first."""
    parts = [{"type": "image"} for _ in range(n_images)]
    marked = f"{_image_token(processor) * n_images}\n{prompt}" if n_images else prompt
    users: list[Any] = [[*parts, {"type": "text", "text": prompt}], prompt, marked]
    told: list[Any] = [None] if not system else [[{"type": "text", "text": system}], system]
    return [
        [*([] if one is None else [{"role": "system", "content": one}]),
         {"role": "user", "content": user}]
        for user in users for one in told
    ]  # fmt: skip


def _apply(processor: Any, messages: list[dict[str, Any]]) -> str | None:
    """Render a conversation; ``None`` when the template was not written for such content."""
    from jinja2 import TemplateError

    owner = processor if getattr(processor, "chat_template", None) else processor.tokenizer
    try:
        return owner.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    except (TemplateError, TypeError, KeyError):
        return None


def _holds(text: str, prompt: str, n_images: int, marks: Sequence[str], system: str | None) -> bool:
    shown = max((text.count(mark) for mark in marks), default=n_images)
    printed = any(mark in text and mark not in f"{system}{prompt}" for mark in _PRINTED_LIST)
    before = text[: text.rfind(prompt.strip())]
    told = not system or system.strip() in before
    return prompt.strip() in text and shown == n_images and told and not printed


def _cannot_hold(model: Model, n_images: int, system: str | None) -> DataError:
    what = f"{n_images} picture(s) and a prompt"
    if system and _holds_without(model, n_images):
        return DataError(
            f"the chat template of {model.name} has no place for a system prompt",
            remedy="write it into the prompt, or leave it out",
        )
    return DataError(
        f"the chat template of {model.name} cannot hold {what}",
        allowed="a template that writes one placeholder for each picture and the prompt as it is",
        remedy="check the number of pictures of the samples, or the model's chat_template.jinja",
    )


def _holds_without(model: Model, n_images: int) -> bool:
    marks, prompt = placeholder_texts(model.processor), "what is this"
    return any(
        text is not None and _holds(text, prompt, n_images, marks, None)
        for text in (
            _apply(model.processor, one)
            for one in _conversations(model.processor, prompt, n_images, None)
        )
    )


def _image_token(processor: Any) -> str:
    names = ("image_placeholder_token", "image_token")
    return str(next((one for name in names if (one := getattr(processor, name, None))), "<image>"))
