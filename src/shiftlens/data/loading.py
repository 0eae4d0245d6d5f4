"""Samples with their pictures opened, in order: here, or ahead of time in other processes."""

import logging
import signal
import subprocess
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Lock
from typing import IO, cast

from PIL.Image import Image

from shiftlens.core.errors import DataError, MachineError
from shiftlens.data.decoding import READY, ask, command, environment, receive
from shiftlens.data.images import LOCAL, Opening, open_image, pixels_allowed
from shiftlens.data.sample import Sample

_log = logging.getLogger(__name__)
_PATIENCE = 5  # seconds for a process to end by itself
_TRIES = 2  # a picture that a decoder dies of twice is to blame itself


@dataclass(frozen=True)
class Loaded:
    """A sample with its pictures opened, or with the reason why they cannot be.

    Attributes:
        sample: the sample.
        images: its pictures in RGB, in its order; empty where one of them cannot be opened.
        reason: why that is; ``None`` where all are open.
    """

    sample: Sample
    images: tuple[Image, ...] = ()
    reason: DataError | None = None

    def pictures(self) -> tuple[Image, ...]:
        """The pictures.

        Raises:
            DataError: the reason.
        """
        if self.reason is not None:
            raise self.reason
        return self.images


@contextmanager
def loading(
    samples: Iterable[Sample], *, decoders: int = 0, ahead: int = 32, opening: Opening = LOCAL
) -> Generator[Iterator[Loaded]]:
    """Open the pictures of samples; pixels are the same whoever decodes them.

    Args:
        samples: what is to be shown; read no further than is decoded.
        decoders: how many processes decode ahead of what is asked for; with 0, each sample is
            opened in this process when its turn comes. They load Pillow alone, are started when
            they are needed and are gone when the block is left, in whatever way. One that dies is
            replaced.
        ahead: how many samples at most are decoded, or being decoded, beyond those that were
            asked for.
        opening: which pictures may be opened.

    Yields:
        what is to be iterated over inside the block: one item a sample, in order.

    Raises:
        DataError: a number that is not possible. What is wrong with a sample is its ``reason``.
        MachineError: the processes cannot be started.
    """
    check_decoders(decoders)
    if ahead < 1:
        raise DataError(f"{ahead} samples decoded ahead", allowed="1 or more")
    opening = replace(opening, max_pixels=pixels_allowed(opening))
    if not decoders:
        yield (_opened_here(sample, opening) for sample in samples)
        return
    pool = _Pool(decoders, opening)
    try:
        yield pool.loaded(samples, ahead)
    finally:
        pool.close()


def check_decoders(decoders: int) -> None:
    """Refuse a number of processes that is not possible.

    Raises:
        DataError: it is below 0.
    """
    if decoders < 0:
        raise DataError(
            f"{decoders} processes that decode pictures",
            allowed="0 (this process decodes) or more",
        )


def _opened_here(sample: Sample, opening: Opening) -> Loaded:
    try:
        return Loaded(sample, tuple(open_image(ref, opening) for ref in sample.images))
    except DataError as error:
        return Loaded(sample, reason=error)


class _Pool:
    """A few processes, and a thread for each that waits for its answers."""

    def __init__(self, n: int, opening: Opening) -> None:
        self._opening = opening
        self._decoders = [_Decoder() for _ in range(n)]
        self._idle: SimpleQueue[_Decoder] = SimpleQueue()
        for one in self._decoders:
            self._idle.put(one)
        self._threads = ThreadPoolExecutor(n, thread_name_prefix="decoder")

    def loaded(self, samples: Iterable[Sample], ahead: int) -> Iterator[Loaded]:
        rest = iter(samples)
        waiting: deque[tuple[Sample, list[Future[Image]]]] = deque()
        while True:
            while len(waiting) <= ahead and (sample := next(rest, None)) is not None:
                waiting.append(
                    (sample, [self._threads.submit(self._open, r) for r in sample.images])
                )
            if not waiting:
                return
            # The next ones are under way while whoever asked works on this one.
            yield _collected(*waiting.popleft())

    def _open(self, ref: str) -> Image:
        """A picture from whichever process is free.

        What a process refuses is opened once more here: the reason is what it is without other
        processes, and formats are read that somebody has taught the Pillow of this one alone.
        """
        decoder = self._idle.get()
        try:
            return decoder.open(ref, self._opening) or open_image(ref, self._opening)
        finally:
            self._idle.put(decoder)

    def close(self) -> None:
        """End the processes first, so that no thread waits for an answer."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for one in self._decoders:
            one.kill()
        self._threads.shutdown()
        for one in self._decoders:
            one.reap()


def _collected(sample: Sample, opened: list[Future[Image]]) -> Loaded:
    try:
        return Loaded(sample, tuple(one.result() for one in opened))
    except DataError as error:
        return Loaded(sample, reason=error)


class _Decoder:
    """One process: started when it is first asked, and again after it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()  # between starting and killing
        self._closed = False

    def open(self, ref: str, opening: Opening) -> Image | None:
        """A picture as the process opens it; ``None`` where it refuses to.

        Raises:
            DataError: the process died of it, and so did its successor.
            MachineError: no process can be started.
        """
        died = ""
        for _ in range(_TRIES):
            process = self._running()
            try:
                ask(cast(IO[bytes], process.stdin), ref, opening)
                return receive(cast(IO[bytes], process.stdout))
            except (EOFError, OSError):
                died = self.reap()
                if not self._closed:
                    _log.warning("a process that decodes pictures died (%s) at %s", died, ref)
        raise DataError(
            f"image {ref} cannot be decoded: {_TRIES} processes died of it ({died})",
            remedy="leave the picture out, or see whether there is memory enough",
        )

    def _running(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise MachineError("pictures are decoded no more: the block was left")
            if self._process is None:
                self._process = _start()
            return self._process

    def kill(self) -> None:
        """End the process, whatever it is doing, for good."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def reap(self) -> str:
        """Wait for the end of a process that is dead or dying, and say how it ended."""
        with self._lock:
            process, self._process = self._process, None
        return "" if process is None else _reaped(process)


def _start() -> subprocess.Popen[bytes]:
    ended = ""
    for _ in range(_TRIES + 1):
        try:
            # A session of its own: Ctrl-C is for the parent, which then ends it.
            process = subprocess.Popen(
                command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise _not_started(str(error)) from error
        if cast(IO[bytes], process.stdout).read(len(READY)) == READY:
            return process
        ended = _reaped(process)
        if not ended.startswith("SIG"):  # it was not killed, and would fail again
            break
    raise _not_started(ended)


def _not_started(why: str) -> MachineError:
    return MachineError(
        f"no process that decodes pictures could be started ({why})",
        allowed="what it wrote about that is above, if anything",
        remedy="decode in this process: decoders=0",
    )


def _reaped(process: subprocess.Popen[bytes]) -> str:
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # a request that never reached it
            cast(IO[bytes], pipe).close()
    try:
        code = process.wait(timeout=_PATIENCE)  # it ends when its input does
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
