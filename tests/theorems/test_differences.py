"""The trap of centring differences, with its twin: the raw second moment does not fall into it."""

from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.store import ActivationStore
from shiftlens.steering.directions import (
    labelled,
    mean_difference,
    principal_between_stores,
    principal_direction,
)

D, N = 256, 200


def _common(path: Path, length: float) -> tuple[ActivationStore, ActivationStore]:
    """The same samples twice; each difference is noise and one common step of a length."""
    random = torch.Generator().manual_seed(3)
    step = torch.nn.functional.normalize(torch.randn(D, generator=random), dim=0) * length
    before = torch.randn(N, D, generator=random) + 10
    noise = 0.5 * torch.randn(N, D, generator=random)
    labels = [{"side": "source"}] * N
    after = before + step + noise
    return (
        build_store(path / "a", before, labels=labels),
        build_store(path / "b", after, labels=labels),
    )


def test_centring_takes_away_what_all_differences_share(tmp_path: Path) -> None:
    source, target = _common(tmp_path, length=20.0)
    gap = target.states().mean(dim=0) - source.states().mean(dim=0)
    raw = principal_between_stores(source, target)
    assert _cosine(raw.direction, gap) > 0.999
    assert raw.norm == pytest.approx(float(gap.norm()), rel=1e-3)
    centred = principal_between_stores(source, target, centred=True)
    assert abs(_cosine(centred.direction, gap)) < 0.15
    assert centred.norm < 0.15 * float(gap.norm())


def test_twin_where_nothing_is_common_raw_misses_too(tmp_path: Path) -> None:
    """It is the common step that makes the difference: without it both are noise."""
    source, target = _common(tmp_path, length=0.1)
    step = _common(tmp_path / "far", length=20.0)
    gap = step[1].states().mean(dim=0) - step[0].states().mean(dim=0)
    for centred in (False, True):
        vector = principal_between_stores(source, target, centred=centred)
        assert abs(_cosine(vector.direction, gap)) < 0.5


def test_the_trap_within_one_store(tmp_path: Path) -> None:
    """Not paired, the centred component is how states scatter, whatever their classes are."""
    random = torch.Generator().manual_seed(5)
    states = torch.randn(2 * N, 32, generator=random)
    states[:, 7] *= 3  # how states scatter
    states[N:, 2] += 8  # what the classes differ by
    labels = [{"side": "source"}] * N + [{"side": "target"}] * N
    store = build_store(tmp_path / "s", states, labels=labels)
    source, target = labelled("side", "source"), labelled("side", "target")
    gap = mean_difference(store, source=source, target=target)
    raw = principal_direction(store, source=source, target=target)
    centred = principal_direction(store, source=source, target=target, centred=True)
    assert raw.cosine(gap) > 0.99
    assert abs(float(centred.direction[7])) / centred.norm > 0.99
    assert centred.norm < 0.2 * gap.norm


def _cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))
