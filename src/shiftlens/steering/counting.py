"""What an intervention did, added up without holding up the model.

Numbers are read off the device a few dozen calls at a time: one synchronisation a token would cost
more than the steering itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from shiftlens.steering.calls import Call
from shiftlens.steering.receipt import Touched

_WAITING = 32  # decoding steps whose numbers are read together


@dataclass
class Counter:
    """Positions, lengths and cosines of what one vector changed after one block.

    Attributes:
        along: (m, d) states before and changes to the (m,) cosines that the receipt reports.
        selected: positions of the scope, whatever the gate said.
        tokens: positions that were changed.
    """

    along: Callable[[Tensor, Tensor], Tensor]
    selected: int = 0
    tokens: int = 0
    _lengths: float = 0.0
    _changes: float = 0.0
    _cosines: float = 0.0
    _places: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    _waiting: "list[_Step]" = field(default_factory=lambda: list[_Step]())

    def add(
        self, call: Call, first: int, scope: Tensor, mask: Tensor, before: Tensor, after: Tensor
    ) -> None:
        """Take in one call.

        Args:
            call: under way.
            first: number of the call's first sample.
            scope: (b, t) what the scope selected.
            mask: (b, t) what was changed.
            before: (b, t, d) states.
            after: (b, t, d) changed states.
        """
        if call.fresh_from:  # without a cache: earlier columns were counted when they were new
            scope, mask = scope[:, call.fresh_from :], mask[:, call.fresh_from :]
            before, after = before[:, call.fresh_from :], after[:, call.fresh_from :]
        before, after = before.detach(), after.detach()
        place = call.first_column + call.fresh_from - call.prompt_width + 1
        step = _Step(scope, mask, before, after, first, place)
        if not call.decodes:
            self._settle_one(step)
            return
        self._waiting.append(step)
        if len(self._waiting) >= _WAITING:
            self.settle()

    def add_rows(
        self, sample: int, scope: Tensor, mask: Tensor, before: Tensor, after: Tensor
    ) -> None:
        """Take in the (m,) patches of one picture, with their (m, d) states."""
        before, after = before.detach()[None], after.detach()[None]
        step = _Step(scope[None], mask[None], before, after, sample, 0)
        self._settle_one(step)

    def settle(self) -> None:
        """Read what waits."""
        waiting, self._waiting = self._waiting, []
        for step in _joined(waiting):
            self._settle_one(step)

    def places(self) -> tuple[Touched, ...]:
        """What was changed in each sample that was touched."""
        return tuple(Touched(number, *at) for number, at in sorted(self._places.items()))

    def dose(self) -> float:
        """Mean length of the change over the mean length of the states."""
        return self._changes / self._lengths if self._lengths else 0.0

    def state_norm(self) -> float:
        """Mean length of the states before the change."""
        return self._lengths / self.tokens if self.tokens else 0.0

    def cosine(self) -> float:
        """Mean cosine."""
        return self._cosines / self.tokens if self.tokens else 0.0

    def _settle_one(self, step: "_Step") -> None:
        self.selected += int(step.scope.sum())
        rows, columns = step.mask.nonzero(as_tuple=True)
        if not len(rows):
            return
        self.tokens += len(rows)
        states = step.before[rows, columns].float()
        change = step.after[rows, columns].float() - states
        self._lengths += float(states.norm(dim=1).sum())
        self._changes += float(change.norm(dim=1).sum())
        self._cosines += float(self.along(states, change).sum())
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            place = step.place + column
            at = self._places.setdefault(step.first + row, [0, place, place])
            at[0] += 1
            at[1], at[2] = min(at[1], place), max(at[2], place)


@dataclass(frozen=True, eq=False)
class _Step:
    """One call, or several that follow each other: see ``Counter.add``."""

    scope: Tensor
    mask: Tensor
    before: Tensor
    after: Tensor
    first: int
    place: int


def _joined(waiting: list[_Step]) -> list[_Step]:
    """Steps that follow each other in one generation, as one wide step."""
    groups: list[list[_Step]] = []
    for step in waiting:
        last = groups[-1][-1] if groups else None
        if last is not None and (last.first, last.place + 1) == (step.first, step.place):
            groups[-1].append(step)
        else:
            groups.append([step])
    return [
        _Step(
            scope=torch.cat([one.scope for one in group], dim=1),
            mask=torch.cat([one.mask for one in group], dim=1),
            before=torch.cat([one.before for one in group], dim=1),
            after=torch.cat([one.after for one in group], dim=1),
            first=group[0].first,
            place=group[0].place,
        )
        for group in groups
    ]
