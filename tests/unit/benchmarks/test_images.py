"""The benchmark of decoding runs on small pictures, and its figures are those of its passes."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks import images


@pytest.mark.slow
def test_its_figures_are_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SIZE", (80, 60))
    monkeypatch.setenv("SHIFTLENS_BENCH_SHORT", "1")
    figures = {one.name: one for one in images.measure()}
    assert len(figures) == 3 + 2 * 3 + 2 + 3 + 1
    assert all(one.low is not None and one.low <= one.value for one in figures.values())
    assert figures["pixels the same"].value == 1
    # Beside starting processes, small pictures are nothing: here they can only lose.
    assert figures["CPU-seconds of 2 decoders / of this process"].value > 1
    assert figures["memory of one decoder"].value > 5


def test_the_same_seeds_give_the_same_pictures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(images, "SIZE", (80, 60))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, again = (images._pictures(tmp_path / name, 2) for name in ("a", "b"))
    data = [[Path(one.images[0]).read_bytes() for one in made] for made in (first, again)]
    assert data[0] == data[1]
    assert data[0][0] != data[0][1]


def test_a_ratio_is_that_of_its_rounds() -> None:
    found = images._median("x", np.asarray([1.0, 2.0, 9.0]), "ratio", "how")
    assert (found.low, found.value, found.high) == (1.0, 2.0, 9.0)
