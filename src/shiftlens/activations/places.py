"""``Places``: what each column of one prompt is, for selections that keep states of a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shiftlens.activations.words.token_reach import reach_of
from shiftlens.core.errors import SiteError
from shiftlens.models.geometry.finding import layouts_of
from shiftlens.models.geometry.layout import Layout
from shiftlens.models.model import Model
from shiftlens.models.processing.templates import render
from shiftlens.models.prompts import Inputs
from shiftlens.models.roles import Roles

# Stands for what somebody says while it is found out what the template writes around it.
_STAND_IN = "qzvx"


@dataclass(frozen=True)
class Batch:
    """What the rows of a batch have in common.

    Attributes:
        model: whose batch.
        inputs: with or without responses.
    """

    model: Model
    inputs: Inputs

    @cached_property
    def roles(self) -> Roles:
        """Masks over the positions."""
        return Roles.of(self.model, self.inputs)

    @cached_property
    def layouts(self) -> list[list[Layout]]:
        """The pictures of each row."""
        return layouts_of(self.model, self.inputs)

    def rows(self) -> "list[Places]":
        """One ``Places`` a row."""
        return [Places(self, row) for row in range(len(self.inputs))]


@dataclass(frozen=True)
class Places:
    """One prompt of a batch, its columns counted with the padding.

    Attributes:
        batch: that it is in.
        row: which of its rows.
    """

    batch: Batch
    row: int

    @property
    def last_prompt(self) -> int:
        """Column of the last prompt position."""
        return self.batch.inputs.prompt_width - 1

    @property
    def first(self) -> int:
        """Column of the first token that is not padding."""
        return _columns(self.batch.roles.real[self.row])[0]

    @property
    def image(self) -> tuple[int, ...]:
        """Columns of all picture tokens."""
        return _columns(self.batch.roles.image[self.row])

    @property
    def text(self) -> tuple[int, ...]:
        """Columns of the prompt's text, the template's own tokens among them."""
        return _columns(self.batch.roles.text[self.row])

    @property
    def system(self) -> tuple[int, ...]:
        """Columns of the system prompt that was given; none where none was."""
        system, prompt = self.batch.inputs.asked[self.row]
        head, _ = self._around(prompt, _STAND_IN if system else None)
        return self._covering(system, start=len(head))

    @property
    def user(self) -> tuple[int, ...]:
        """Columns of what the user says, without the template's tokens around it."""
        system, prompt = self.batch.inputs.asked[self.row]
        _, tail = self._around(_STAND_IN if prompt.strip() else prompt, system or None)
        return self._covering(prompt, behind=tail)

    def layout(self, number: int) -> Layout:
        """One picture of the row.

        Args:
            number: from 0; negative ones count from the end.

        Raises:
            SiteError: the sample has no such picture, or the model has no tokens of pictures.
        """
        found = self.batch.layouts[self.row]
        if not -len(found) <= number < len(found):
            raise SiteError(
                f"there is no image {number}",
                allowed=f"the sample has {len(found)} image(s), counted from 0",
            )
        return found[number]

    @property
    def name(self) -> str:
        """What the user calls the model."""
        return self.batch.model.name

    def _around(self, prompt: str, system: str | None) -> tuple[str, str]:
        """What the template writes before and behind a stand-in, as the tokenizer writes it."""
        n = len(self.batch.inputs.sizes[self.row])
        text = render(self.batch.model, prompt, n, system)
        before, found, behind = text.partition(_STAND_IN)
        return (self._rewritten(before), self._rewritten(behind)) if found else ("", "")

    def _rewritten(self, text: str) -> str:
        """A text as it comes back from the tokenizer: in lower case, with other spaces."""
        tokenizer: Any = self.batch.model.tokenizer
        return self._decode(tokenizer(text, add_special_tokens=False)["input_ids"]).strip()

    def _covering(self, wanted: str, *, start: int = 0, behind: str = "") -> tuple[int, ...]:
        """Columns of the tokens that a text is in: the first from a place on, or the last one.

        Args:
            wanted: the text.
            start: how many characters the template writes before it; 0 to look for the last one.
            behind: what the template writes behind it.
        """
        wanted = wanted.strip()
        if not wanted:
            return ()
        columns = self.text
        ids = self.batch.inputs.tensors["input_ids"][self.row, list(columns)].tolist()
        text = self._decode(ids)
        if wanted not in text:  # the tokenizer wrote it otherwise
            wanted = self._rewritten(wanted)
        if not wanted:
            return ()
        # A short prompt, such as "a", may stand in the template's own words as well.
        end = text.rfind(behind) if behind else len(text)
        at = text.find(wanted, start) if start else text.rfind(wanted, 0, max(0, end))
        if at < 0:
            raise SiteError(
                f"the prompt's own text cannot be told apart in the tokens of {self.name}",
                allowed="a tokenizer whose tokens decode to the prompt as it was given",
                remedy="use tokens.prompt(), which takes the template's tokens as well",
            )
        found = reach_of(text, ids, self._decode).covering(at, at + len(wanted))
        return () if found is None else columns[found[0] : found[1] + 1]

    def _decode(self, ids: Sequence[int]) -> str:
        tokenizer: Any = self.batch.model.tokenizer
        return tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)


def _columns(mask: Any) -> tuple[int, ...]:
    return tuple(mask.nonzero()[:, 0].tolist())
