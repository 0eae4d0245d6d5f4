"""``python -m benchmarks.images``: decoding pictures here, and ahead in one or two processes.

Everything is timed on the same files in rounds that interleave what is compared, so that a busy
machine cancels out of the ratios. A machine of two cores has no third one for two decoders and
whoever takes their pictures: what they bring there is an upper part of nothing, and is printed all
the same.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.figures import Figure, from_interval, main, share
from shiftlens.core.intervals import percentile
from shiftlens.data.loading import loading
from shiftlens.data.sample import Sample

SIZE, PICTURES, BATCH, ROUNDS = (2000, 1500), 64, 8, 9
DECODERS = (0, 1, 2)
_LONG = 0.5  # seconds in which all that may be decoded ahead is


@dataclass(frozen=True)
class Pass:
    """One pass over all pictures.

    Attributes:
        wall: seconds from the first request to the last picture, with starting processes.
        cpu: CPU-seconds of this process and of those that decoded.
        first: seconds to the first batch.
        decoder: MiB that the largest decoder ever had resident; 0 where there was none.
    """

    wall: float
    cpu: float
    first: float
    decoder: float


def measure() -> list[Figure]:
    """Throughput, what it costs, what it saves beside a device that is waited for, and memory."""
    # SHIFTLENS_BENCH_SHORT: a look at whether it runs, on a machine that others use.
    short = bool(os.environ.get("SHIFTLENS_BENCH_SHORT"))
    with tempfile.TemporaryDirectory() as folder:
        samples = _pictures(Path(folder), 16 if short else PICTURES)
        how = _about(samples)
        rounds = 3 if short else ROUNDS
        _pass(samples, 0)  # what is read from the disk once is nobody's cost
        device = float(np.median([_pass(samples, 0).wall for _ in range(3)])) / len(samples) * BATCH
        bare = _interleaved(samples, rounds, 0.0)
        beside = _interleaved(samples, rounds, device)
        return [
            *_speeds(bare, len(samples), how),
            *_beside(beside, f"{how}; this process waits {device:.2f} s after each batch, as for a "
                     "device that takes as long as decoding does"),
            *memory(samples, rounds, bare[2], how),
            _same(samples, how),
        ]  # fmt: skip


def _pictures(folder: Path, n: int) -> list[Sample]:
    """Pictures with the frequencies of photographs: noise of every scale, finer ones weaker."""
    samples: list[Sample] = []
    for number in range(n):
        random = np.random.default_rng(number)
        total = np.full((SIZE[1], SIZE[0], 3), 128.0, np.float32)
        for cells in (4, 16, 64, 256, 1000):
            noise = random.integers(0, 256, (cells * 3 // 4, cells, 3), np.uint8)
            layer = Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC)
            total += (np.asarray(layer, np.float32) - 128) * (0.6 if cells < 100 else 0.12)
        path = folder / f"{number}.jpg"
        Image.fromarray(total.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        samples.append(Sample(str(number), "", (str(path),)))
    return samples


def _about(samples: list[Sample]) -> str:
    size = np.mean([Path(one.images[0]).stat().st_size for one in samples]) / 2**20
    return (
        f"{len(samples)} JPEGs of {SIZE[0]} x {SIZE[1]} with {size:.1f} MiB each, batches of "
        f"{BATCH}, one batch ahead, {len(os.sched_getaffinity(0))} cores"
    )


def _pass(samples: list[Sample], decoders: int, device: float = 0.0) -> Pass:
    """Take all pictures in batches, as a harvest does."""
    cpu, start, first = _cpu(), time.perf_counter(), 0.0
    with loading(samples, decoders=decoders, ahead=BATCH) as loaded:
        while True:
            batch = list(islice(loaded, BATCH))
            if not batch:
                break
            first = first or time.perf_counter() - start
            time.sleep(device)
            del batch
        wall = time.perf_counter() - start
        decoder = max([0.0, *(_status(pid, "VmHWM") for pid in _children())])
    return Pass(wall, _cpu() - cpu, first, decoder)


def _interleaved(samples: list[Sample], rounds: int, device: float) -> dict[int, list[Pass]]:
    found: dict[int, list[Pass]] = {n: [] for n in DECODERS}
    for number in range(rounds):
        at = number % len(DECODERS)
        for n in (*DECODERS[at:], *DECODERS[:at]):
            found[n].append(_pass(samples, n, device))
    return found


def _speeds(found: dict[int, list[Pass]], n: int, how: str) -> list[Figure]:
    figures: list[Figure] = []
    for decoders in DECODERS:
        name = "this process" if not decoders else f"{decoders} decoder" + "s" * (decoders > 1)
        rates = _column(found[decoders], lambda one: n / one.wall)
        figures.append(_median(f"pictures a second, {name}", rates, "1/s", f"wall clock; {how}"))
    here = _column(found[0], lambda one: one.wall)
    spent = _column(found[0], lambda one: one.cpu)
    for decoders in DECODERS[1:]:
        walls = _column(found[decoders], lambda one: one.wall)
        cpus = _column(found[decoders], lambda one: one.cpu)
        name = f"{decoders} decoder" + "s" * (decoders > 1)
        figures += [
            _median(f"speed of {name} / of this process", here / walls, "ratio",
                    f"nothing else to do, starting included; {how}"),
            _median(f"CPU-seconds of {name} / of this process", cpus / spent, "ratio",
                    f"all processes together, starting included; {how}"),
            _median(f"seconds to the first batch, {name}",
                    _column(found[decoders], lambda one: one.first), "s", how),
        ]  # fmt: skip
    return figures


def _beside(found: dict[int, list[Pass]], how: str) -> list[Figure]:
    here = _column(found[0], lambda one: one.wall)
    return [
        _median(f"time with {n} decoder{'s' * (n > 1)} / without, beside a device",
                _column(found[n], lambda one: one.wall) / here, "ratio",
                f"0.5 would hide decoding wholly; {how}")
        for n in DECODERS[1:]
    ]  # fmt: skip


def memory(samples: list[Sample], rounds: int, ahead: list[Pass], how: str) -> list[Figure]:
    """The largest that a process has been which did nothing else, and its decoders."""
    batch = BATCH * SIZE[0] * SIZE[1] * 4 / 2**20
    what = (
        f"VmHWM of a fresh process that waits {_LONG} s after each batch of {batch:.0f} MiB; {how}"
    )
    peaks = {n: np.asarray([_peak(samples, n) for _ in range(min(rounds, 3))]) for n in (0, 2)}
    return [
        _median("memory without decoders", peaks[0], "MiB", what),
        _median("memory with 2 decoders, without theirs", peaks[2], "MiB", what),
        _median("memory of one decoder", _column(ahead, lambda one: one.decoder), "MiB",
                f"VmHWM of the largest; {how}"),
    ]  # fmt: skip


def _peak(samples: list[Sample], decoders: int) -> float:
    refs = [one.images[0] for one in samples]
    code = f"from benchmarks.images import run_alone; run_alone({refs!r}, {decoders})"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, check=True
    )
    return float(done.stdout)


def run_alone(refs: list[str], decoders: int) -> None:
    """One pass in a process of its own, which prints its largest size."""
    _pass([Sample(ref, "", (ref,)) for ref in refs], decoders, _LONG)
    print(_status("self", "VmHWM"))


def _same(samples: list[Sample], how: str) -> Figure:
    with loading(samples) as here, loading(samples, decoders=2) as there:
        same = [
            one.images[0].tobytes() == other.images[0].tobytes()
            for one, other in zip(here, there, strict=True)
        ]
    return share("pixels the same", same, "", f"two decoders and none; {how}")


def _median(name: str, values: np.ndarray, unit: str, how: str) -> Figure:
    draws = np.random.default_rng(0).choice(values, (2000, len(values)))
    interval = percentile(np.median(draws, axis=1), float(np.median(values)))
    return from_interval(
        name, interval, unit, "", f"{how}; median of {len(values)} interleaved rounds"
    )


def _column(passes: list[Pass], value: Callable[[Pass], float]) -> np.ndarray:
    return np.asarray([value(one) for one in passes])


def _cpu() -> float:
    own, ended = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def _children() -> list[str]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [pid for one in tasks for pid in one.read_text().split()]


def _status(pid: str, name: str) -> float:
    """In MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"this system does not tell {name} of a process")


if __name__ == "__main__":
    main(measure, "Decoding pictures in this process, and ahead in one or two others.")
