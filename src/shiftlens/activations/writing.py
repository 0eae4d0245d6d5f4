"""How a run becomes a store: locked, begun or gone on with, part by part, and finished."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from shiftlens.activations.manifest import Manifest, has_manifest, read_manifest, require_same
from shiftlens.core.errors import DataError, MachineError
from shiftlens.core.locking import briefly_locked, locked, remove_locks
from shiftlens.core.manifest import remove_leftovers

Share = tuple[int, int]
"""``(2, 4)``: the second of four shares of a run's parts; ``(1, 1)`` is the whole run."""


@contextmanager
def being_written(
    wanted: Sequence[Callable[[], Manifest]], share: Share = (1, 1)
) -> Generator[list[Manifest]]:
    """Hold the stores of one run while their parts are added; what is complete is finished.

    Args:
        wanted: for each store, what makes the manifest of a run that has no parts yet.
        share: which of the parts this process adds.

    Yields:
        the manifests, with the parts that earlier runs and other processes have finished.

    Raises:
        MismatchError: a directory holds a store of something else.
        MachineError: another process writes there, or the disk is full or read-only.
    """
    fresh = [make() for make in wanted]
    found = [_known(one) for one in fresh]
    if all(one is not None and is_whole(one) and not one.has_journals for one in found):
        # Nothing is written: a finished store may lie where nobody may write.
        yield [one for one in found if one is not None]
        return
    with ExitStack() as stack:
        for one in fresh:
            stack.enter_context(locked(one.root, share))
        manifests = [_begun(one, share) for one in fresh]
        yield manifests
        for manifest in manifests:
            _conclude(manifest)


class Counting:
    """Makes parts exist one after the other, behind the back of whoever computes the next one.

    A part waits for the disk, and a store far away for the network, while the models work. At the
    end of the block, however it ends, every part that was added exists or has raised.

    Args:
        manifests: of the stores of a run.
    """

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self._manifests = manifests
        self._pool = ThreadPoolExecutor(1, "shiftlens-parts")
        self._last: Future[None] | None = None

    def __enter__(self) -> "Counting":
        return self

    def add(self, number: int, settle: Callable[[], Sequence[dict[str, Any]]]) -> None:
        """Make a part exist soon; the one before does now.

        Args:
            number: of the part.
            settle: waits for its files, and gives its entry for each manifest.

        Raises:
            MachineError: the disk is full, or the place cannot be reached; the part before this
                one does not count.
        """
        try:
            self._wait()
        except BaseException:
            with suppress(MachineError):  # nothing half-written stays
                settle()
            raise
        self._last = self._pool.submit(self._count, number, settle)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._wait()
        finally:
            self._pool.shutdown()

    def _wait(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def _count(self, number: int, settle: Callable[[], Sequence[dict[str, Any]]]) -> None:
        for manifest, entry in zip(self._manifests, settle(), strict=True):
            manifest.add(number, entry)


def is_whole(manifest: Manifest) -> bool:
    """Whether the manifest names every part, and their files are there."""
    return manifest.complete and all(manifest.holds(n) for n in range(manifest.n_parts))


def pending(manifests: Sequence[Manifest], share: Share) -> list[int]:
    """Numbers of the parts of a share that one of the stores lacks."""
    numbers = range(share[0] - 1, manifests[0].n_parts, share[1])
    return [number for number in numbers if any(not one.holds(number) for one in manifests)]


def check_share(share: Share | None) -> Share:
    """A share as it was asked for; none is the whole run.

    Raises:
        DataError: it is not a number of some number.
    """
    if share is None:
        return (1, 1)
    whole = [isinstance(one, int) and not isinstance(one, bool) for one in share]
    if len(whole) != 2 or not all(whole) or not 1 <= share[0] <= share[1]:
        raise DataError(
            f"part {share!r} of a run does not exist", allowed="(1, n) to (n, n), such as (2, 4)"
        )
    return share


def _known(wanted: Manifest) -> Manifest | None:
    """The manifest on the disk, if there is one and it is of the same run."""
    if not has_manifest(wanted.place):
        return None
    found = read_manifest(wanted.place, wanted.kind)
    require_same(found.identity, wanted.identity, wanted.place)
    return found


def _begun(wanted: Manifest, share: Share) -> Manifest:
    """Go on with the manifest on the disk, or begin one; of several processes only one begins."""
    with briefly_locked(wanted.root):
        manifest = _known(wanted)
        if manifest is None:
            wanted.write()
            manifest = wanted
    if share == (1, 1):  # and nobody else is writing
        remove_leftovers(manifest.root)
    else:
        manifest.writer = f"{share[0]}-of-{share[1]}"
    return manifest


def _conclude(manifest: Manifest) -> None:
    """Finish a store whose parts are all there, whoever added them."""
    with briefly_locked(manifest.root):
        found = read_manifest(manifest.place, manifest.kind)
        if len(found.parts) == found.n_parts:
            remove_leftovers(found.root)
            if found.open or found.has_journals:  # also what a kill left behind a finished one
                found.finish()
            remove_locks(found.root)
    manifest.parts, manifest.open = found.parts, found.open
