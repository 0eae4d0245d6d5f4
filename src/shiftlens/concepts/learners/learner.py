"""What every learner is: options in ``__init__``, ``fit`` gives a frozen result.

A fit reads the rows as often as the method needs. The loop over passes and chunks stands here, once
for all learners; what a learner does with a chunk is its ``Fitting``.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from shiftlens.concepts.encoders import Encoder, require_finite, usual_encoder
from shiftlens.concepts.learners.survey import Survey, count_different, space_of, survey
from shiftlens.concepts.rows import Rows, rows_of
from shiftlens.concepts.space import Space, require_space
from shiftlens.core.errors import LearnError
from shiftlens.core.progress import Progress, Silent
from shiftlens.core.registry import Registry
from shiftlens.core.shapes import Acts, Assignment, Codes, Vectors

_WHOLE = ("k", "seed", "n_starts", "max_iter", "max_passes", "batch_size")
_SHARES = ("tol", "penalty")


@dataclass(frozen=True)
class Learned:
    """Bare outcome of a learner, before it is tied to a site.

    Attributes:
        vectors: (k, d) float32.
        kind: ``centroid`` or ``direction``.
        sizes: rows of each concept, as ``assign`` gives them; rows that no concept is active on are
            in none.
        report: JSON: how the fit went (``objective``, ``iterations``, ``converged`` where it
            iterates), what the first pass saw (``Survey.report``), for directions
            ``rows_without_concept``, and ``empty_concepts`` where there are any; beside it
            ``different_rows`` where these are fewer than concepts were asked for.
        encoder: how new rows are encoded; the usual one of the kind unless given.
    """

    vectors: Vectors
    kind: str
    sizes: tuple[int, ...]
    report: dict[str, Any]
    encoder: Encoder = None  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        if self.encoder is None:  # pyright: ignore[reportUnnecessaryComparison]
            object.__setattr__(self, "encoder", usual_encoder(self.kind))

    def assign(self, acts: Acts) -> Assignment:
        """Concept of each row (n,): nearest centroid, or largest positive code; -1 for none.

        Raises:
            LearnError: a row is not finite.
        """
        require_finite(acts)
        return self.encoder.assign(acts, self.vectors)

    def encode(self, acts: Acts) -> Codes:
        """Codes of rows (n, k).

        Raises:
            LearnError: a row is not finite.
        """
        require_finite(acts)
        return self.encoder.encode(acts, self.vectors)


@dataclass(frozen=True)
class View:
    """Rows as a learner sees them: in its space, in float32, on its device.

    Attributes:
        rows: where they come from.
        space: the learner's coordinates.
        device: where it computes.
        survey: what was found out about the raw rows in the first pass.
    """

    rows: Rows
    space: Space
    device: torch.device
    survey: Survey

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def d(self) -> int:
        """Width of a row."""
        return self.rows.d

    def chunks(self) -> Any:
        """One pass: pairs of row numbers (m,) and states (m, d) in the space."""
        for numbers, states in self.rows.chunks():
            yield numbers, self.space.into(states.to(self.device))

    def take(self, numbers: Any) -> Tensor:
        """States of some rows (m, d) in the space."""
        return self.space.into(self.rows.take(numbers).to(self.device))


class Fitting(ABC):
    """One fit under way: what has been seen, and what is believed so far.

    Attributes:
        wants_rows: whether there is anything to learn from a pass; false where ``begin`` knew all.
    """

    wants_rows: bool = True

    @abstractmethod
    def update(self, states: Acts, numbers: Tensor) -> None:
        """See one chunk of the pass under way.

        Args:
            states: (m, d) float32 in the learner's space; must not be changed.
            numbers: (m,) of these rows.
        """

    @abstractmethod
    def end_pass(self) -> bool:
        """Whether another pass is wanted; called after every whole pass."""

    @abstractmethod
    def learned(self) -> Learned:
        """The outcome, with vectors in the learner's space; ``sizes`` are counted afterwards."""


class ConceptLearner(ABC):
    """Learns k concepts from states; a subclass is a frozen dataclass of its options.

    Attributes:
        kind: what its vectors are, ``centroid`` (states) or ``direction``.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "centroid"
    k: int
    seed: int

    def __post_init__(self) -> None:
        # Numbers of numpy, as a range of it gives, are plain ones from here on: JSON can hold them.
        for name, value in vars(self).items():
            if isinstance(value, np.generic):
                object.__setattr__(self, name, value.item())

    @abstractmethod
    def begin(self, view: View) -> Fitting:
        """Start a fit: choose initial vectors, make room.

        A fit that wants every row at once must not ask the view for them: it keeps no more than a
        sample of bounded size, and sees all rows chunk by chunk.

        Args:
            view: the rows; may be read here too, for example to choose starts from a sample.
        """

    def fit(
        self,
        acts: Acts | Rows,
        *,
        device: str | torch.device | None = None,
        progress: Progress | None = None,
    ) -> Learned:
        """Learn from states in memory or on disk.

        Args:
            acts: (n, d), any float type, or rows that are read chunk by chunk; not changed.
            device: where to compute; where the states are by default. The outcome is on the CPU.
            progress: who is told; a step is a pass over the rows.

        Raises:
            LearnError: an option or k is impossible, k does not fit the rows, a state is not
                finite, or several concepts are to be learned from rows that are all the same.
        """
        rows = rows_of(acts)
        self.check(rows)
        home = acts.device if isinstance(acts, Tensor) else torch.device("cpu")
        where = torch.device(device) if device is not None else home
        listener = progress or Silent()
        listener.start(f"learning {self.k} concepts", 0)
        try:
            found = survey(rows, where)
            if self.k > 1 and not bool((found.variance > 0).any()):
                raise _all_the_same(found.n)
            listener.advance()
            view = View(rows, space_of(self.space_name, rows, found, where), where, found)
            fitting = self.begin(view)
            going = fitting.wants_rows
            while going:
                for numbers, states in view.chunks():
                    fitting.update(states, numbers)
                going = fitting.end_pass()
                listener.advance()
            return _finished(fitting.learned(), view)
        finally:
            listener.stop()

    @property
    def space_name(self) -> str:
        """The space that the learner works in; one of ``SPACES``."""
        return getattr(self, "space", "raw")

    def options(self) -> dict[str, Any]:
        """The learner's name and options as JSON, for provenance."""
        return {"name": self.name, **asdict(self)}  # pyright: ignore[reportArgumentType,reportCallIssue]

    def check(self, rows: Rows) -> None:
        """Refuse options that are impossible, and a k that the rows do not allow.

        Raises:
            LearnError: says which, and what is possible.
        """
        require_space(self.space_name)
        for name, value in self.options().items():
            allowed = _allowed(name, value)
            if allowed:
                raise LearnError(f"{name} is {value!r}", allowed=allowed)
        if self.k < 1 or self.k > len(rows):
            raise LearnError(
                f"cannot learn {self.k} concepts from {len(rows)} rows",
                allowed=f"k from 1 to {len(rows)}",
                remedy="choose a smaller k, or harvest more samples that say the word",
            )


def _allowed(name: str, value: Any) -> str:
    """What an option may be, where it is something else; otherwise nothing."""
    if name in _WHOLE:
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            return "a whole number"
        least = 0 if name == "seed" else 1
        return f"{least} or more" if value < least and name != "k" else ""
    if name in _SHARES:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if number and 0 <= value < math.inf else "a finite number, 0 or more"
    return ""


def _all_the_same(n: int) -> LearnError:
    return LearnError(
        f"all {n} states are the same, so there is nothing to tell concepts apart by",
        remedy="take another position or layer: this one does not depend on the sample",
    )


def _finished(learned: Learned, view: View) -> Learned:
    """Vectors taken back to the residual stream; one more pass counts what ``assign`` gives.

    What a learner counted itself is not taken: it compares rows before the vectors are taken back,
    and rows that are nearly as near to another concept would be counted there and assigned here.
    """
    space, report = view.space, {**learned.report, **view.survey.report()}
    if not bool(torch.isfinite(learned.vectors).all()):
        raise LearnError(
            "the fit ended in vectors that are not finite",
            remedy="look at the rows: values near the end of the float type overflow",
        )
    own = {name: tensor.cpu() for name, tensor in learned.encoder.own_tensors().items()}
    encoder = replace(learned.encoder, space=space.cpu(), **own)
    if learned.kind == "direction":
        vectors = space.directions_out_of(learned.vectors)
    elif space.name == "unit":
        # A state of the usual length: what a centroid of directions stands for.
        vectors = normalize(learned.vectors, dim=1) * view.survey.norm
    else:
        vectors = space.out_of(learned.vectors) if space.name != "raw" else learned.vectors
    done = replace(learned, vectors=vectors.cpu(), encoder=encoder)
    sizes = _sizes(done, view)
    if learned.kind == "direction":
        report["rows_without_concept"] = len(view) - sum(sizes)
    if empty := sizes.count(0):
        report["empty_concepts"] = empty
        different = count_different(view.chunks(), len(sizes), on_sphere=space.name == "unit")
        if different < len(sizes):
            report["different_rows"] = different
    return replace(done, sizes=sizes, report=report)


def _sizes(learned: Learned, view: View) -> tuple[int, ...]:
    counts = torch.zeros(len(learned.vectors), dtype=torch.long)
    for _, states in view.rows.chunks():
        labels = learned.assign(states.to(view.device)).cpu()
        counts += torch.bincount(labels[labels >= 0], minlength=len(counts))
    return tuple(counts.tolist())


learners: Registry[type[ConceptLearner]] = Registry("learner")
