"""A clock that goes backwards, jumps, or lies: no byte and no lock depends on it."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.comparing import differences

from shiftlens.activations.harvesting import harvest
from shiftlens.activations.manifest import read_manifest
from shiftlens.activations.recognising import finished, note_request, request_key
from shiftlens.activations.site import Site
from shiftlens.core.errors import MachineError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model

SITE, OPTIONS = Site(-1), {"max_new_tokens": 2, "part_size": 1}
_FAR = {"before 1970": -10_000, "1970": 0, "2100": 4_102_444_800, "now": None}


@pytest.fixture
def wild(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Every look at the clock shows another century; gives what was shown."""
    drawn, shown = random.Random(0), list[float]()

    def look() -> float:
        shown.append(drawn.uniform(-1e9, 5e9))
        return shown[-1]

    monkeypatch.setattr(time, "time", look)
    monkeypatch.setattr(time, "time_ns", lambda: int(look() * 1e9))
    time.time()
    yield shown
    assert shown, "twin: the clock was replaced"


class _Stop(Exception):
    """Ends a run after some samples."""


class _Stopping:
    def __init__(self, after: int) -> None:
        self.left = after

    def start(self, label: str, total: int) -> None: ...

    def advance(self, n: int = 1) -> None:
        self.left -= n
        if self.left < 0:
            raise _Stop

    def stop(self) -> None: ...


def _age(root: Path, drawn: random.Random) -> None:
    """Give every file of a directory a time of its own, in the past or in the future."""
    for file in root.iterdir():
        when = drawn.randrange(0, 5_000_000_000)
        os.utime(file, (when, when))


def test_no_byte_depends_on_the_clock(
    tiny: Model, questions: list[Sample], tmp_path: Path, wild: list[float]
) -> None:
    samples, out, drawn = Samples(questions), tmp_path / "out", random.Random(1)
    whole = harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)
    for after in (1, 2, 0, 3):
        with pytest.raises(_Stop):
            harvest(tiny, samples, SITE, out, **OPTIONS, progress=_Stopping(after))
        _age(out, drawn)
    harvest(tiny, samples, SITE, out, **OPTIONS)
    assert differences(whole.path, out) == []
    _age(out, drawn)
    before = {file: file.stat().st_mtime for file in out.iterdir()}
    harvest(tiny, samples, SITE, out, **OPTIONS)
    assert {file: file.stat().st_mtime for file in out.iterdir()} == before, "nothing is redone"


def test_a_lock_is_not_told_by_its_age(
    tiny: Model, questions: list[Sample], tmp_path: Path, wild: list[float]
) -> None:
    samples, out = Samples(questions), tmp_path / "out"
    out.mkdir()
    for when in (0, 4_102_444_800):
        (out / ".lock-1-of-1").write_text("process 1 on nowhere\n")
        os.utime(out / ".lock-1-of-1", (when, when))
        harvest(tiny, samples, SITE, out, **OPTIONS)
    from shiftlens.core.locking import locked

    other = tmp_path / "other"
    with locked(other):
        os.utime(other / ".lock-1-of-1", (0, 0))
        with pytest.raises(MachineError, match="is being written by"):
            harvest(tiny, samples, SITE, other, **OPTIONS)


@pytest.mark.parametrize("when", _FAR)
@pytest.mark.parametrize("what", ["pictures", "model", "store"])
def test_recognising_errs_on_the_side_of_doing_more(
    tiny: Model,
    tiny_path: Path,
    questions: list[Sample],
    tmp_path: Path,
    what: str,
    when: str,
) -> None:
    """Times of what was read make it look anew; those of the store decide nothing."""
    samples, out = Samples(questions[:2]), tmp_path / "out"
    store = harvest(tiny, samples, SITE, out, **OPTIONS)
    key = request_key((str(tiny_path),), samples, {})
    note_request(out, key, [store._manifest])
    files = {
        "pictures": [Path(sample.images[0]) for sample in samples],
        "model": [tiny_path / "config.json"],
        "store": list(out.iterdir()),
    }[what]
    before = {file: file.stat().st_mtime_ns for file in files}
    try:
        for file in files:
            moved = _FAR[when]
            os.utime(file, None if moved is None else (moved, moved))
        asked = request_key((str(tiny_path),), samples, {})
        assert (finished(out, asked) is None) == (what != "store")
    finally:
        for file, ns in before.items():
            os.utime(file, ns=(ns, ns))
    # And where it does more, the harvest itself finds that nothing is to be done.
    fingerprint = read_manifest(out).fingerprint
    assert harvest(tiny, samples, SITE, out, **OPTIONS).fingerprint == fingerprint
    assert finished(out, key), "twin: the old times are recognised"
