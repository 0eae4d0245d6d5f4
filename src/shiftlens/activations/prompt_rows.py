"""What a selection in the prompt selects, row by row of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shiftlens.activations.places import Batch, Places
from shiftlens.activations.selections.mean import Mean
from shiftlens.activations.selections.selection import Missed, PromptSelection, Selection
from shiftlens.core.errors import SiteError
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs


@dataclass(frozen=True)
class PromptRow:
    """What is selected in one prompt.

    Attributes:
        positions: of the states, along the response: 0 is the last prompt position.
        names: what each is about, or an empty string.
        status: ``matched``, ``missed`` or ``failed``.
        reason: why it failed.
    """

    positions: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    status: str = "matched"
    reason: str = ""


def prompt_rows(model: Model, inputs: Inputs, selection: Selection) -> tuple[PromptRow, ...]:
    """The rows of a batch under a selection in the prompt; none for another selection."""
    wanted = selection.of if isinstance(selection, Mean) else selection
    if not isinstance(wanted, PromptSelection):
        return ()
    return tuple(_row(wanted, places) for places in Batch(model, inputs).rows())


def _row(selection: PromptSelection, places: Places) -> PromptRow:
    try:
        found = selection.columns(places)
    except Missed:
        return PromptRow(status="missed")
    except SiteError as error:
        return PromptRow(status="failed", reason=str(error))
    # The state before a prompt's first token is nowhere: that column is padding, or none at all.
    real = [one for one in found if one[0] >= places.first]
    if not real:
        return PromptRow(status="missed")
    columns = tuple(column - places.last_prompt for column, _ in real)
    return PromptRow(columns, tuple(name for _, name in real))


def mask_of(inputs: Inputs, rows: Sequence[PromptRow]) -> Tensor:
    """The selected positions of a batch: (b, t) booleans over its columns."""
    ids = inputs.tensors["input_ids"]
    mask = torch.zeros(ids.shape, dtype=torch.bool, device=ids.device)
    for at, row in enumerate(rows):
        mask[at, [one + inputs.prompt_width - 1 for one in row.positions]] = True
    return mask


def column_index(inputs: Inputs, rows: Sequence[PromptRow]) -> Tensor:
    """Columns to gather: (b, m), rows that select fewer than m filled up with column 0."""
    ids = inputs.tensors["input_ids"]
    longest = max((len(row.positions) for row in rows), default=0)
    index = torch.zeros((len(rows), max(1, longest)), dtype=torch.long, device=ids.device)
    for at, row in enumerate(rows):
        columns = [one + inputs.prompt_width - 1 for one in row.positions]
        index[at, : len(columns)] = torch.tensor(columns, dtype=torch.long, device=ids.device)
    return index
