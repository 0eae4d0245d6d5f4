"""Many turns about one picture in one sequence, each seeing the picture and itself only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from shiftlens.world.language import Turn
from shiftlens.world.training.architecture import BOS, EOS, IMAGE, IMAGE_TOKENS

_HIDDEN = -1e4  # added to attention scores; eager attention wants a float mask
_SILENT = -100  # label of a position that is not trained


@dataclass(frozen=True)
class Batch:
    """Packed turns: ids, positions and labels (b, t), additive mask (b, 1, t, t)."""

    ids: Tensor
    positions: Tensor
    mask: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(*(x.to(device) for x in (self.ids, self.positions, self.mask, self.labels)))


class Packer:
    """Turns text into packed batches in exactly the tokens that the chat template gives."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        self.prefix = [BOS, *self._ids("user :"), *[IMAGE] * IMAGE_TOKENS]
        self.image_start = len(self.prefix) - IMAGE_TOKENS

    def _ids(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = self._tokenizer.encode(text, add_special_tokens=False)
        return self._known[text]

    def pack(self, lessons: Sequence[Sequence[Turn]]) -> Batch:
        """One row a picture; all its turns branch off behind the picture."""
        rows = [self._row(turns) for turns in lessons]
        b, t = len(rows), max(len(row[0]) for row in rows)
        ids, positions = np.zeros((b, t), np.int64), np.zeros((b, t), np.int64)
        branch, labels = np.full((b, t), -1), np.full((b, t), _SILENT)
        for number, row in enumerate(rows):
            for target, values in zip((ids, positions, branch, labels), row, strict=True):
                target[number, : len(values)] = values
        branches = torch.from_numpy(branch)
        seen = (branches[:, :, None] == branches[:, None, :]) | (branches[:, None, :] == 0)
        seen &= torch.ones(t, t, dtype=torch.bool).tril()
        mask = torch.where(seen[:, None], 0.0, _HIDDEN)
        return Batch(
            torch.from_numpy(ids), torch.from_numpy(positions), mask, torch.from_numpy(labels)
        )

    def _row(self, turns: Sequence[Turn]) -> tuple[list[int], list[int], list[int], list[int]]:
        start = len(self.prefix)
        ids, positions = list(self.prefix), list(range(start))
        branch, labels = [0] * start, [_SILENT] * start
        for number, turn in enumerate(turns, start=1):
            asked = [*self._ids(turn.prompt), *self._ids("assistant :")]
            said = [*self._ids(turn.answer), EOS]
            n = len(asked) + len(said)
            ids += asked + said
            positions += range(start, start + n)
            branch += [number] * n
            labels += [_SILENT] * len(asked) + said
        return ids, positions, branch, labels


def language_loss(model: Any, features: Tensor, batch: Batch, image_start: int) -> Tensor:
    """Cross-entropy of the answers, given the vision tower's patch states (b, tokens, width)."""
    inner = model.model
    embedded = inner.get_input_embeddings()(batch.ids)
    projected = inner.multi_modal_projector(features)
    end = image_start + projected.shape[1]
    whole = torch.cat(
        [
            embedded[:, :image_start].to(projected.dtype),
            projected,
            embedded[:, end:].to(projected.dtype),
        ],
        dim=1,
    )
    states = inner.language_model(
        inputs_embeds=whole,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        use_cache=False,
    ).last_hidden_state[:, :-1]
    wanted = batch.labels[:, 1:]
    trained = wanted != _SILENT
    logits = model.lm_head(states[trained]).float()
    return nn.functional.cross_entropy(logits, wanted[trained])
