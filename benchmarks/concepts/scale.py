"""Learning from a store that no memory would hold: time and memory as the store grows.

``python -m benchmarks.concepts.scale --n 1000000`` runs this part alone; it writes 8 GB to a
temporary folder and removes them again. Every learner runs in a process of its own, whose anonymous
memory (RssAnon: what the system cannot drop, so mapped shards do not count) is looked at all the
time; times begin after everything has been imported.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.concepts.big_store import SHARD, first_parts, write_store
from benchmarks.concepts.contests import cores, not_measured, timing
from benchmarks.figures import Figure, from_interval, print_table
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.core.intervals import Interval

N, D, K = 1_000_000, 4096, 20
ORDER = (8, 4, 2, 1, 8)
"""Sizes as parts of the whole; the smallest again at the end: what the disk keeps shows there."""

LIMIT_GB = 2.0
EVERY = 0.01
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Fit:
    """One fit.

    Attributes:
        n: rows.
        wall: seconds.
        cpu: seconds of all threads.
        anon_mb: largest anonymous memory of the process, its libraries included.
    """

    n: int
    wall: float
    cpu: float
    anon_mb: float


def kmeans() -> ConceptLearner:
    """Three moves of the centroids over all rows, after starts on a sample."""
    from shiftlens.concepts.learners.kmeans import KMeans

    return KMeans(k=K, n_starts=1, max_iter=3, tol=0.0)


def pca() -> ConceptLearner:
    """Exact: the covariance of all rows."""
    from shiftlens.concepts.learners.pca import PCA

    return PCA(k=K)


def semi_nmf() -> ConceptLearner:
    """Four passes over all rows, after twenty iterations on a sample."""
    from shiftlens.concepts.learners.semi_nmf import SemiNMF

    return SemiNMF(k=K, n_starts=1, max_iter=20, max_passes=4, tol=0.0)


LEARNERS: dict[str, Callable[[], ConceptLearner]] = {
    "k-means": kmeans,
    "PCA": pca,
    "semi-NMF": semi_nmf,
}
"""With a fixed number of passes, so that time can be compared between sizes."""


def measure(n: int = N, d: int = D, folder: Path | None = None) -> list[Figure]:
    """Figures of every learner; none where the disk has no room.

    Args:
        n: rows of the whole store; an eighth, a quarter and a half of it are learned from too.
        d: width.
        folder: where to write; the system's folder for temporary files by default.
    """
    needed = 2 * n * d
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        free = shutil.disk_usage(temporary).free
        if free < 1.2 * needed:
            why = f"{1.2 * needed / 1e9:.1f} GB needed in {temporary}, {free / 1e9:.1f} GB free"
            return [not_measured(f"{name}: scale", why) for name in LEARNERS]
        return measure_in(Path(temporary), n, d)


def measure_in(root: Path, n: int, d: int) -> list[Figure]:
    """Write the store, learn, and fit exponents."""
    write_store(root / "store", n, d, shard=min(SHARD, -(-n // max(ORDER))))
    parts = {part: root / f"part-{part}" for part in ORDER}
    for part, path in parts.items():
        first_parts(root / "store", path, -(-n // part))
    stores = [parts[part] for part in ORDER]
    return [figure for name in LEARNERS for figure in of_learner(name, fit_apart(name, stores), d)]


def of_learner(name: str, fits: Sequence[Fit], d: int) -> list[Figure]:
    """Exponents and memory of one learner."""
    largest = max(fits, key=lambda fit: fit.n)
    sizes = ", ".join(f"{n:,}" for n in sorted({fit.n for fit in fits}))
    what = (
        f"n = {sizes}; d = {d:,}, float16 from disk, k = {K}, {cores()} cores; the largest took "
        f"{largest.wall:.0f} s, {largest.cpu:.0f} CPU-seconds"
    )
    figures: list[Figure] = []
    for clock, field in (("wall time", "wall"), ("CPU time", "cpu")):
        found = exponent([fit.n for fit in fits], [getattr(fit, field) for fit in fits])
        how = f"slope of log time on log n, least squares over {len(fits)} fits; {what}"
        title = f"{name}: exponent of {clock} in n"
        figures.append(from_interval(title, found, "", "<= 1.1", how))
        figures.append(from_interval(f"{title}, from below", found, "", ">= .9", how))
    most = max(fit.anon_mb for fit in fits) / 1024
    figures.append(Figure(f"{name}: anonymous memory", most, None, None, "GB", f"<= {LIMIT_GB}",
                          f"largest RssAnon of a process, libraries included; {what}"))  # fmt: skip
    return figures


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> Interval:
    """Slope of log seconds on log size with its 95 % t-interval."""
    from scipy import stats

    line = stats.linregress(np.log(sizes), np.log(seconds))
    reach = float(stats.t.ppf(0.975, len(sizes) - 2)) * float(line.stderr)
    slope = float(line.slope)
    return Interval(slope, slope - reach, slope + reach)


def fit_apart(name: str, stores: Sequence[Path]) -> list[Fit]:
    """Learn from every store, one after the other, in a process of its own."""
    paths = [str(path) for path in stores]
    command = [sys.executable, "-m", "benchmarks.concepts.scale", "--fit", name, *paths]
    # Threads that wait for others sleep: on a machine with neighbours they would burn its time.
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return [Fit(**one) for one in json.loads(done.stdout.splitlines()[-1])]


def fits_here(name: str, stores: Sequence[Path]) -> list[Fit]:
    """Learn in this process, and look at its memory all the while."""
    from shiftlens.activations.store import ActivationStore
    from shiftlens.concepts.learning import learn

    learner, fits = LEARNERS[name](), list[Fit]()
    for path in stores:
        store = ActivationStore.open(path)
        with Watch() as watch:
            timed = timing(lambda store=store: learn(store, learner))
        fits.append(Fit(len(store), timed.wall, timed.cpu, watch.most_mb))
    return fits


class Watch:
    """The largest anonymous memory of this process while the context is open, in MB."""

    def __init__(self) -> None:
        self.most_mb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.most_mb = max(self.most_mb, anonymous_mb())

    def _look(self) -> None:
        while not self._done.wait(EVERY):
            self.most_mb = max(self.most_mb, anonymous_mb())


def anonymous_mb() -> float:
    """Anonymous memory of this process now.

    Raises:
        RuntimeError: this system does not tell.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell the anonymous memory of a process")


def _main() -> None:
    parser = argparse.ArgumentParser(description="Learning from a store on disk.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--n", type=int, default=N, help="rows of the store")
    parser.add_argument("--d", type=int, default=D, help="width of a row")
    parser.add_argument("--folder", type=Path, help="where the store is written")
    parser.add_argument("--fit", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.fit:
        name, *stores = given.fit
        print(json.dumps([asdict(fit) for fit in fits_here(name, [Path(one) for one in stores])]))
        return
    figures = measure(given.n, given.d, given.folder)
    if given.json:
        print(json.dumps({"figures": [figure.to_dict() for figure in figures]}, indent=1))
    else:
        print_table(figures)


if __name__ == "__main__":
    _main()
