"""Pictures decoded ahead in other processes: the same pixels, in order, and nobody left behind."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shiftlens.core.errors import DataError, MachineError
from shiftlens.data import loading as module
from shiftlens.data.decoding import command
from shiftlens.data.images import Opening
from shiftlens.data.loading import Loaded, loading
from shiftlens.data.sample import Sample


def _children(parent: int | None = None) -> list[int]:
    """Processes that decode for a process, of all that run."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        if int(status[1]) == (parent or os.getpid()) and b"data import decoding" in words:
            found.append(int(folder.name))
    return found


def _samples(folder: Path, n: int = 12) -> list[Sample]:
    random = np.random.default_rng(0)
    samples: list[Sample] = []
    for number in range(n):
        paths: list[str] = []
        for which in range(1 + number % 2):
            pixels = random.integers(0, 256, (20 + number, 30, 3), np.uint8)
            paths.append(str(folder / f"{number}-{which}.png"))
            Image.fromarray(pixels).save(paths[-1])
        samples.append(Sample(str(number), "what ?", tuple(paths)))
    samples.insert(3, Sample("text", "what ?"))
    samples.insert(5, Sample("gone", "what ?", (paths[0], str(folder / "gone.png"))))
    (folder / "broken.jpg").write_bytes(b"no picture")
    samples.insert(9, Sample("broken", "what ?", (str(folder / "broken.jpg"), paths[0])))
    return samples


def _seen(found: list[Loaded]) -> list[tuple[str, list[tuple[object, str]], str | None]]:
    def digest(image: Image.Image) -> str:
        return hashlib.sha256(image.tobytes()).hexdigest()

    return [
        (
            one.sample.id,
            [((i.mode, i.size, str(i.info)), digest(i)) for i in one.images],
            None if one.reason is None else str(one.reason),
        )
        for one in found
    ]


@pytest.mark.parametrize(("decoders", "ahead"), [(1, 1), (2, 3), (3, 100)])
def test_whoever_decodes_everything_is_the_same(tmp_path: Path, decoders: int, ahead: int) -> None:
    samples = _samples(tmp_path)
    with loading(samples) as here:
        expected = _seen(list(here))
    with loading(samples, decoders=decoders, ahead=ahead) as there:
        found = _seen(list(there))
    assert found == expected
    assert [name for name, _, _ in found] == [sample.id for sample in samples]
    reasons = {name: reason for name, _, reason in found if reason}
    assert set(reasons) == {"gone", "broken"}
    assert "does not exist" in reasons["gone"]
    assert len({digest for _, images, _ in found for _, digest in images}) == 18, "and not all one"


def test_no_more_is_read_than_is_decoded_ahead(tmp_path: Path) -> None:
    samples = _samples(tmp_path)
    for decoders, most in ((0, 1), (2, 1 + 4)):
        read: list[str] = []

        def watched(into: list[str] = read) -> Iterator[Sample]:
            for sample in samples:
                into.append(sample.id)
                yield sample

        with loading(watched(), decoders=decoders, ahead=4) as found:
            for number, _ in enumerate(found, 1):
                assert len(read) <= number - 1 + most
                if decoders and number == 1:
                    assert len(read) == most, "it does look ahead"


def test_the_next_ones_are_decoded_while_nobody_asks(tmp_path: Path) -> None:
    """Twin of order: a process is at work although only the first sample was asked for."""
    samples = _samples(tmp_path)
    with loading(samples, decoders=1, ahead=6) as found:
        next(found)
        assert _wait(lambda: _all_done(found))


def _all_done(found: Iterator[Loaded]) -> bool:
    """Whether all that was submitted is done, though nobody has asked for it."""
    waiting = found.gi_frame.f_locals["waiting"]  # type: ignore[attr-defined]
    return len(waiting) == 6 and all(one.done() for _, ahead in waiting for one in ahead)


def _wait(condition, seconds: float = 30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    return condition()


def _fail_while_loading(samples: list[Sample]) -> None:
    with loading(samples, decoders=2) as found:
        next(found)
        assert _children()
        raise ZeroDivisionError


def test_nobody_is_left_behind(tmp_path: Path) -> None:
    samples = _samples(tmp_path)
    assert _children() == []
    with loading(samples, decoders=2) as found:
        list(found)
        assert len(_children()) == 2
    assert _children() == []
    with pytest.raises(ZeroDivisionError):
        _fail_while_loading(samples)
    assert _children() == []
    with loading(samples, decoders=2):
        pass  # nothing was asked for, so nothing was started
    assert _children() == []


def test_a_process_that_is_killed_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = _samples(tmp_path)
    with loading(samples) as here:
        expected = _seen(list(here))
    found: list[Loaded] = []
    with caplog.at_level(logging.WARNING), loading(samples, decoders=2, ahead=2) as there:
        for number, one in enumerate(there):
            found.append(one)
            for pid in _children() if number % 4 == 0 else ():
                os.kill(pid, signal.SIGKILL)
    # A picture may be hit twice by this much killing, and is then a reason; nothing else may be.
    differ = [(a, b) for a, b in zip(_seen(found), expected, strict=True) if a != b]
    assert all("processes died of it (SIGKILL)" in (a[2] or "") for a, _ in differ)
    assert len(differ) < 6
    assert "a process that decodes pictures died (SIGKILL)" in caplog.text
    assert _children() == []


class _Killer:
    """Stands where a picture is asked for, and kills the process that is to open it."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.real = module.ask

    def __call__(self, requests: object, ref: str, opening: Opening) -> None:
        if ref.endswith("0-0.png") and self.times:
            self.times -= 1
            for pid in _children():
                os.kill(pid, signal.SIGKILL)
            _wait(lambda: not [pid for pid in _children() if _alive(pid)])
        self.real(requests, ref, opening)  # type: ignore[arg-type]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("times", [1, 2])
def test_a_picture_that_kills_twice_is_to_blame_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    samples = _samples(tmp_path, 3)
    monkeypatch.setattr(module, "ask", _Killer(times))
    with loading(samples, decoders=1) as found:
        reasons = {one.sample.id: one.reason for one in found}
    assert (reasons["0"] is None) == (times == 1)
    if times == 2:
        assert "2 processes died of it (SIGKILL)" in (str(reasons["0"]))
    assert reasons["1"] is None


def test_processes_that_cannot_start_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twin of quarantine: that is no sample's fault, so no sample may be set aside for it."""
    samples = _samples(tmp_path, 2)
    for line, why in (
        ([sys.executable, "-c", "raise SystemExit(7)"], "exit code 7"),
        (["/no/such/python"], "No such file"),
    ):
        monkeypatch.setattr(module, "command", lambda line=line: line)
        with pytest.raises(MachineError, match=why) as caught:
            with loading(samples, decoders=1) as found:
                list(found)
        assert "decoders=0" in caught.value.remedy


def test_what_a_process_prints_is_no_pixel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    chatty = command()
    noise = "o = d.open_image; d.open_image = lambda *a: print('chat', flush=True) or o(*a); "
    chatty[2] = chatty[2].replace("d.serve()", noise + "d.serve()")
    monkeypatch.setattr(module, "command", lambda: chatty)
    samples = _samples(tmp_path, 2)
    with loading(samples, decoders=1) as found:
        assert sum(one.reason is None for one in found) == 3
    said = capfd.readouterr()
    assert "chat" in said.err
    assert "chat" not in said.out


def test_formats_of_this_process_alone_are_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other packages teach Pillow formats; processes that decode do not know of them."""
    from PIL import PpmImagePlugin

    (tmp_path / "odd.png").write_bytes(b"OURS" + b"P6 1 1 255\n\x01\x02\x03")

    def ours(stream, name):
        stream.seek(4)
        return PpmImagePlugin.PpmImageFile(stream, name)

    sample = Sample("a", "what ?", (str(tmp_path / "odd.png"),))
    with loading([sample], decoders=1) as found:
        assert "not a picture" in str(next(found).reason)
    for name, value in (("ID", [*Image.ID]), ("OPEN", {**Image.OPEN})):
        monkeypatch.setattr(Image, name, value)
    Image.register_open("OURS", ours, lambda prefix: prefix.startswith(b"OURS"))
    with loading([sample], decoders=1) as found:
        assert next(found).images[0].getpixel((0, 0)) == (1, 2, 3)


def test_a_lower_limit_counts_in_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = _samples(tmp_path, 2)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30 * 20)
    for decoders in (0, 1):
        with loading(samples, decoders=decoders) as found:
            reasons = {one.sample.id: str(one.reason or "") for one in found}
        assert "up to 600 pixels" in reasons["1"]
        assert reasons["0"] == ""


@pytest.mark.parametrize(("decoders", "ahead"), [(-1, 4), (2, 0)])
def test_numbers_that_are_not_possible(decoders: int, ahead: int) -> None:
    with pytest.raises(DataError, match=r"processes that decode|decoded ahead"):
        with loading([], decoders=decoders, ahead=ahead):
            pass


def test_neither_this_module_nor_its_processes_load_torch(tmp_path: Path) -> None:
    heavy = "('torch', 'transformers', 'numpy', 'pyarrow')"
    program = f"import sys, shiftlens.data.loading; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
    with loading(_samples(tmp_path, 1), decoders=1) as found:
        next(found)
        (pid,) = _children()
        mapped = Path(f"/proc/{pid}/maps").read_text()
    assert "PIL" in mapped
    assert not any(name in mapped for name in ("torch", "transformers", "numpy", "pyarrow"))


_PARENT = """
import signal, sys, time
from shiftlens.data.loading import loading
from shiftlens.data.sample import Sample

# What a shell puts into the background ignores Ctrl-C, and so does what that starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# No guard: this file must not be run again by the processes that it starts.
print("began", flush=True)
with loading([Sample("a", "b", (sys.argv[1],))] * 9, decoders=2, ahead=4) as found:
    next(found)
    next(found)
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_parent_ends_its_processes(tmp_path: Path, by: signal.Signals) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "parent.py").write_text(_PARENT)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), str(tmp_path / "a.png")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout
        assert [parent.stdout.readline() for _ in range(2)] == ["began\n", "ready\n"]
        workers = _wait(lambda: _children(parent.pid))
        assert 1 <= len(workers) <= 2
        parent.send_signal(by)
        out, err = parent.communicate(timeout=30)
    assert out == "", "it was not run a second time"
    assert _wait(lambda: not any(_alive(pid) for pid in workers)), "they are gone"
    assert err.count("Traceback") == (1 if by == signal.SIGINT else 0), err


def test_ctrl_c_twice_is_no_worse(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "parent.py").write_text(_PARENT)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), str(tmp_path / "a.png")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout
        assert [parent.stdout.readline() for _ in range(2)] == ["began\n", "ready\n"]
        workers = _wait(lambda: _children(parent.pid))
        for _ in range(2):
            parent.send_signal(signal.SIGINT)
        parent.wait(30)
    assert workers
    assert _wait(lambda: not any(_alive(pid) for pid in workers))


def test_threads_of_the_pool_end_with_it(tmp_path: Path) -> None:
    before = threading.active_count()
    with loading(_samples(tmp_path), decoders=3) as found:
        next(found)
    assert threading.active_count() == before
