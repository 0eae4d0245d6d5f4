"""Our closed form against the package ``concept-erasure`` (tests/golden/make_leace.py)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_store

from shiftlens.steering.leace import erase

GOLDEN = Path(__file__).parents[2] / "golden" / "leace.json"


@pytest.fixture(scope="module")
def golden() -> Any:
    """States, labels, and both cases: without and with the package's shrinkage."""
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", [0, 1])
def test_erased_states_are_the_packages(golden: Any, case: int, tmp_path: Path) -> None:
    states = torch.tensor(golden["states"])
    store = build_store(tmp_path / "s", states, shards=3)
    mine, other = golden["cases"][case], golden["cases"][1 - case]
    edit = erase(store, golden["labels"], shrinkage=mine["share"])
    assert edit.rank == 2
    erased = edit.apply(states.double(), 1.0)
    expected, wrong = (torch.tensor(one["erased"]).double() for one in (mine, other))
    torch.testing.assert_close(erased, expected, atol=1e-4, rtol=0)
    with pytest.raises(AssertionError):  # twin: the other shrinkage is another map
        torch.testing.assert_close(erased, wrong, atol=1e-2, rtol=0)


def test_a_rare_class_is_erased_too(tmp_path: Path) -> None:
    """A threshold on the correlation with the class would leave it: 5 of 5,000 correlate little."""
    random = torch.Generator().manual_seed(0)
    states = torch.randn(5000, 8, generator=random)
    labels = [row >= 4995 for row in range(5000)]
    states[4995:, 0] += 3
    edit = erase(build_store(tmp_path / "s", states), labels)
    erased = edit.apply(states, 1.0)
    gap = erased[4995:].mean(dim=0) - erased[:4995].mean(dim=0)
    assert float(gap.norm()) < 1e-4
    assert float((states[4995:].mean(dim=0) - states[:4995].mean(dim=0)).norm()) > 2


def test_an_edit_says_what_it_was_fitted_on(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    states = torch.randn(40, 6, generator=random)
    store = build_store(tmp_path / "s", states, labels=[{"n": row % 2} for row in range(40)])
    edit = erase(store, lambda row: row.labels["n"])
    assert (edit.name, edit.kind, edit.rank, edit.clipped) == ("erase 0, 1", "LEACE", 1, False)
    assert edit.provenance["rows"] == {"0": 20, "1": 20}
    assert 0 < edit.provenance["shrinkage"] <= 1
    assert edit.provenance["store"] == store.fingerprint
    assert edit.provenance["model"] == {"weights": "weights"}
    assert edit.state_norm == pytest.approx(float(states.norm(dim=1).mean()), rel=1e-6)
