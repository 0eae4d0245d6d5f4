"""Principal directions and the probe's: sign, length, pairs, and what is refused."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.store import ActivationStore
from shiftlens.core.errors import SteeringError
from shiftlens.steering.directions import (
    labelled,
    mean_difference,
    principal_between_stores,
    principal_direction,
    probe_direction,
)

D = 12
SOURCE, TARGET = labelled("side", "source"), labelled("side", "target")


def _store(
    path: Path, states: torch.Tensor, n_source: int, images: Sequence[str] | None = None
) -> ActivationStore:
    sides = ["source"] * n_source + ["target"] * (len(states) - n_source)
    return build_store(path, states, labels=[{"side": s} for s in sides], images=images)


def _two(n: int = 40, m: int = 30, scatter: float = 0.5, seed: int = 0) -> torch.Tensor:
    """Sources around 20, targets 3 further along the first entry."""
    states = 20 + scatter * torch.randn(n + m, D, generator=torch.Generator().manual_seed(seed))
    states[n:, 0] += 3
    return states


def test_the_crossed_direction_is_that_of_all_differences(tmp_path: Path) -> None:
    states = _two(scatter=2.0)
    store = _store(tmp_path / "s", states, 40)
    differences = (states[None, 40:] - states[:40, None]).reshape(-1, D).double()
    for centred in (False, True):
        rows = differences - differences.mean(dim=0) * centred
        expected = torch.linalg.svd(rows, full_matrices=False)[2][0]
        vector = principal_direction(store, source=SOURCE, target=TARGET, centred=centred)
        unit = vector.direction.double() / vector.norm
        assert abs(float(unit @ expected)) == pytest.approx(1, abs=1e-6)
        share = torch.linalg.svdvals(rows).square()
        assert vector.provenance["explained"] == pytest.approx(float(share[0] / share.sum()))
        assert vector.provenance["rows"] == {"source": 40, "target": 30, "paired": 0}


def test_it_points_to_the_target_and_is_as_long_as_the_means_lie_apart(tmp_path: Path) -> None:
    states = _two()
    store = _store(tmp_path / "s", states, 40)
    for make in (principal_direction, probe_direction):
        there = make(store, source=SOURCE, target=TARGET)
        back = make(store, source=TARGET, target=SOURCE)
        torch.testing.assert_close(there.direction, -back.direction, atol=1e-3, rtol=1e-3)
        unit = there.direction / there.norm
        gap = states[40:].mean(dim=0) - states[:40].mean(dim=0)
        assert float(gap @ unit) == pytest.approx(there.norm, rel=1e-5)
        assert there.cosine(mean_difference(store, source=SOURCE, target=TARGET)) > 0.9
        assert there.state_norm == pytest.approx(float(states.norm(dim=1).mean()), rel=1e-5)


def test_pairs_by_a_key_take_away_what_partners_share(tmp_path: Path) -> None:
    """Pictures scatter far along one entry; partners share it, and crossing drowns in it."""
    random = torch.Generator().manual_seed(1)
    pictures = torch.zeros(20, D)
    pictures[:, 5] = 30 * torch.randn(20, generator=random)
    noise = 0.1 * torch.randn(40, D, generator=random)
    states = torch.cat([pictures, pictures]) + noise
    states[20:, 0] += 3
    names = [f"{row}.png" for row in (*range(20), *range(20))]
    order = [*range(20), *range(39, 19, -1)]  # targets lie in another order than sources
    store = _store(tmp_path / "s", states[order], 20, images=[names[row] for row in order])
    paired = principal_direction(store, source=SOURCE, target=TARGET, pairs=lambda row: row.image)
    assert abs(float(paired.direction[0])) / paired.norm > 0.99
    assert paired.provenance["rows"]["paired"] == 1
    crossed = principal_direction(store, source=SOURCE, target=TARGET)
    assert abs(float(crossed.direction[5])) / crossed.norm > 0.99


def test_pairs_must_be_pairs(tmp_path: Path) -> None:
    store = _store(tmp_path / "s", _two(), 40)
    with pytest.raises(SteeringError, match="two rows of one side have the key 'what is this"):
        principal_direction(store, source=SOURCE, target=TARGET, pairs=lambda row: row.prompt)
    with pytest.raises(SteeringError, match="only 0 of 30 rows are paired"):
        principal_direction(store, source=SOURCE, target=TARGET, pairs=lambda row: row.image)


def test_between_two_stores_samples_are_paired(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(1)
    first = 30 * torch.randn(20, D, generator=random)
    change = 0.1 * torch.randn(20, D, generator=random)
    change[:, 0] += 3
    stores = (build_store(tmp_path / "a", first), build_store(tmp_path / "b", first + change))
    vector = principal_between_stores(*stores)
    assert float(vector.direction[0]) / vector.norm > 0.99
    assert vector.norm == pytest.approx(3, rel=0.1)
    assert vector.provenance["target"]["store"] == stores[1].fingerprint


def test_a_direction_without_sign_or_length_is_refused(tmp_path: Path) -> None:
    states = _two(20, 20, scatter=0.0)
    states[:20, 4] += torch.linspace(-1, 1, 20)
    states[20:, 4] += torch.linspace(-1, 1, 20)
    store = _store(tmp_path / "s", states, 20)
    assert principal_direction(store, source=SOURCE, target=TARGET).norm == pytest.approx(3)
    with pytest.raises(SteeringError, match=r"same mean along this direction[\s\S]*do not centre"):
        principal_direction(store, source=SOURCE, target=TARGET, centred=True)
    flat = _store(tmp_path / "flat", _two(20, 20, scatter=0.0), 20)
    with pytest.raises(SteeringError, match="the differences do not vary"):
        principal_direction(flat, source=SOURCE, target=TARGET, centred=True)


def test_the_probe_tells_how_well_it_reads_what_it_has_not_seen(tmp_path: Path) -> None:
    told = _store(tmp_path / "told", _two(), 40)
    vector = probe_direction(told, source=SOURCE, target=TARGET)
    assert vector.provenance["held_out_accuracy"] > 0.95
    assert (vector.kind, vector.provenance["penalty"]) == ("logistic probe", 1.0)
    # Twin: with more entries than rows, a probe reads noise perfectly where it was fitted.
    noise = torch.randn(40, 200, generator=torch.Generator().manual_seed(0))
    blind = probe_direction(_store(tmp_path / "noise", noise, 20), source=SOURCE, target=TARGET)
    reading = noise @ blind.direction
    assert float(reading[20:].min()) > float(reading[:20].max())
    assert blind.provenance["held_out_accuracy"] < 0.75


def test_rows_of_one_picture_are_held_out_together(tmp_path: Path) -> None:
    """Each picture is there eight times: rows spread over folds would be read from their copies."""
    few = torch.randn(10, 100, generator=torch.Generator().manual_seed(0))
    images = [f"{row}.png" for row in range(10) for _ in range(8)]
    store = _store(tmp_path / "s", few.repeat_interleave(8, dim=0), 40, images=images)
    vector = probe_direction(store, source=SOURCE, target=TARGET)
    assert vector.provenance["held_out_accuracy"] < 0.85
    alone = _store(tmp_path / "one", _two(20, 20), 20, images=["a.png"] * 20 + ["b.png"] * 20)
    lone = probe_direction(alone, source=SOURCE, target=TARGET)
    assert lone.provenance["held_out_accuracy"] is None


def test_a_penalty_that_is_none_is_refused(tmp_path: Path) -> None:
    store = _store(tmp_path / "s", _two(), 40)
    for penalty in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(SteeringError, match="a penalty of"):
            probe_direction(store, source=SOURCE, target=TARGET, penalty=penalty)


def test_entries_that_do_not_vary_have_no_weight(tmp_path: Path) -> None:
    states = _two()
    states[:, 3] = 7
    vector = probe_direction(_store(tmp_path / "s", states, 40), source=SOURCE, target=TARGET)
    assert float(vector.direction[3]) == pytest.approx(0, abs=1e-6)
