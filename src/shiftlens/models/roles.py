"""Which position of a batch is what: picture, prompt, response, padding."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import picture_token, placeholder_tokens
from shiftlens.models.prompts import Inputs

Mask = Bool[Tensor, "b t"]


@dataclass(frozen=True)
class Roles:
    """Boolean masks (b, t) over the positions of an ``Inputs``, on its device.

    Attributes:
        real: everything but padding.
        prompt: the prompt with its template and its pictures.
        image: the picture tokens within the prompt.
        text: the prompt without them, and without what marks where a picture begins and ends.
        last_prompt: the position from which the first response token is emitted.
        response: the response tokens that were given.
    """

    real: Mask
    prompt: Mask
    image: Mask
    text: Mask
    last_prompt: Mask
    response: Mask

    @staticmethod
    def of(model: Model, inputs: Inputs) -> "Roles":
        """Work out the roles of a batch that ``encode`` made for ``model``."""
        ids, real = inputs.tensors["input_ids"], inputs.tensors["attention_mask"].bool()
        column = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        prompt = real & (column < inputs.prompt_width)
        token = picture_token(model.hf, model.processor)
        image = prompt & (ids == token) if token is not None else torch.zeros_like(prompt)
        marks = torch.tensor(placeholder_tokens(model.hf, model.processor), dtype=ids.dtype)
        return Roles(
            real=real,
            prompt=prompt,
            image=image,
            text=prompt & ~image & ~torch.isin(ids, marks.to(ids.device)),
            last_prompt=column == inputs.prompt_width - 1,
            response=real & (column >= inputs.prompt_width),
        )
