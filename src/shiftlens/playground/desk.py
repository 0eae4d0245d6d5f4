"""``Desk``: one model, many visitors; each is served alone, and sees the words as they come.

Steering hangs hooks on the model for as long as an answer takes, so that two answers at once would
steer each other. Whoever asks waits for the one before.
"""

import queue
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import shiftlens as sl
from shiftlens.playground.library import Steering
from shiftlens.playground.setting import Setting

if TYPE_CHECKING:
    from PIL.Image import Image

    from shiftlens.models.model import Model

T = TypeVar("T")


@dataclass(frozen=True)
class Moment:
    """How far an answer is.

    Attributes:
        unsteered: text so far, without steering.
        steered: text so far, with it; ``None`` before it began.
        receipt: what steering did; ``None`` before the end.
    """

    unsteered: str = ""
    steered: str | None = None
    receipt: Any = None


class _Left(Exception):
    """The visitor went away: the answer is ended where it is."""


class Desk:
    """Answers and explanations of one model, one visitor at a time.

    Args:
        model: who is asked.
        turn: whose turn it is; a lock unless given.
    """

    def __init__(self, model: "Model", turn: "AbstractContextManager[Any] | None" = None) -> None:
        self.model = model
        self._turn = turn or threading.Lock()

    def fits(self, steering: "Steering | sl.Steering") -> str:
        """Why a direction, or a whole steering, cannot steer this model; empty where it can."""
        try:
            with self._turn, sl.steer(self.model, steering):
                raise _Left  # nothing is to be generated: the checks on entering are what is asked
        except _Left:
            return ""
        except sl.ShiftLensError as error:
            return error.given

    def answers(self, setting: Setting, picture: "Image | None") -> Generator[Moment]:
        """Both answers, word by word: the unsteered one first, then the steered one.

        Args:
            setting: the question and the steering.
            picture: what it is asked about.

        Raises:
            ShiftLensError: what the library says of a wrong setting.
        """

        def work(told: Callable[[Moment], None]) -> None:
            options: dict[str, Any] = {"max_new_tokens": setting.max_new_tokens}
            before = self.model.generate(
                picture, setting.prompt, heard=lambda text: told(Moment(text)), **options
            )
            told(Moment(before, ""))
            # What is kept is what is done.
            with sl.steer(self.model, setting.steering(self.model)) as receipt:
                after = self.model.generate(
                    picture,
                    setting.prompt,
                    heard=lambda text: told(Moment(before, text)),
                    **options,
                )
            told(Moment(before, after, receipt))

        yield from self._streamed(work)

    def explain(
        self,
        concepts: "sl.Concepts",
        setting: Setting,
        picture: "Image | None",
        response: str,
        word: str,
        method: str = "occlusion",
    ) -> Any:
        """Which concepts are active at the words of an answer, with a heat map of one word.

        Raises:
            ShiftLensError: the word is not said, or the concepts are another model's.
        """
        with self._turn:
            return sl.explain(
                self.model,
                picture,
                setting.prompt,
                concepts,
                response=response,
                words=[word] if word else (),
                n_maps=1 if picture is not None else 0,
                method=method,
                check=False,
                max_new_tokens=setting.max_new_tokens,
            )

    def _streamed(self, work: Callable[[Callable[[T], None]], None]) -> Generator[T]:
        """What ``work`` tells, as it is told; whoever stops listening ends it."""
        told: queue.SimpleQueue[T | BaseException | None] = queue.SimpleQueue()
        gone = threading.Event()

        def tell(piece: T) -> None:
            if gone.is_set():
                raise _Left
            told.put(piece)

        def run() -> None:
            try:
                with self._turn:
                    if not gone.is_set():
                        work(tell)
                told.put(None)
            except _Left:
                pass
            except BaseException as error:  # told where it can be shown: in the visitor's own call
                told.put(error)

        worker = threading.Thread(target=run, name="shiftlens-answer", daemon=True)
        worker.start()
        try:
            while (piece := told.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            gone.set()
