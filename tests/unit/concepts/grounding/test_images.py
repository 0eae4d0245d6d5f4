"""Most activating images: none twice, ties by row, the same however the store is cut."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders import build_store

from shiftlens.activations.site import Site
from shiftlens.concepts import rows as rows_module
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.images import top_images
from shiftlens.core.errors import GroundingError, LearnError


def _concepts(vectors: torch.Tensor, kind: str = "centroid") -> Concepts:
    return Concepts(vectors, kind, Site(0), (1,) * len(vectors))


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _by_hand(
    concepts: Concepts, acts: torch.Tensor, images: list[str], n: int
) -> tuple[tuple[str, ...], ...]:
    """Every row in memory, in plain Python."""
    found: list[tuple[str, ...]] = []
    for k in range(concepts.k):
        if concepts.kind == "centroid":
            away = [[float((a - u).norm()) for u in concepts.vectors] for a in acts]
            active = [(one[k], at) for at, one in enumerate(away) if one[k] == min(one)]
        else:
            unit = concepts.vectors[k] / concepts.vectors[k].norm()
            active = [(-float(a @ unit), at) for at, a in enumerate(acts) if float(a @ unit) > 0]
        kept: dict[str, str] = {}
        for _, at in sorted(active):
            kept.setdefault(images[at], f"s{at}")
        found.append(tuple(kept.values())[:n])
    return tuple(found)


@pytest.mark.parametrize("kind", ["centroid", "direction"])
@pytest.mark.parametrize("shards", [1, 3, 40])
def test_shards_change_nothing(
    tmp_path: Path, kind: str, shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts, images = _random(40, 6), [f"{at % 13}.png" for at in range(40)]
    store = build_store(tmp_path / "s", acts, images=images, shards=shards)
    concepts = _concepts(_random(4, 6, seed=1), kind)
    expected = _by_hand(concepts, acts, images, 5)
    assert top_images(concepts, store, n=5) == expected
    monkeypatch.setattr(rows_module, "CHUNK_VALUES", 18)  # three rows at once
    assert top_images(concepts, store, n=5) == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_ties_go_to_the_first_row(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, int]],
    n: int,
    shards: int,
) -> None:
    """Few values and few images: nearly every row ties with another."""
    acts = torch.tensor([[float(value)] for value, _ in rows])
    images = [f"{image}.png" for _, image in rows]
    folder = tmp_path_factory.mktemp("ties")
    store = build_store(folder, acts, images=images, shards=min(shards, len(rows)))
    concepts = _concepts(torch.ones(1, 1), "direction")
    assert top_images(concepts, store, n=n) == _by_hand(concepts, acts, images, n)


def test_a_view_ties_by_its_own_order(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", torch.ones(6, 2), shards=3).at_rows([4, 0, 5, 1])
    found = top_images(_concepts(torch.ones(1, 2), "direction"), store, n=3)
    assert found == (("s4", "s0", "s5"),)


def test_what_is_not_active_is_never_listed(tmp_path: Path) -> None:
    acts = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, -2.0]])
    store = build_store(tmp_path / "s", acts)
    concepts = _concepts(torch.eye(2), "direction")
    assert concepts.assign(acts).tolist() == [0, -1, -1]
    assert top_images(concepts, store, n=3) == (("s0",), ())


def test_an_image_counts_with_its_best_row(tmp_path: Path) -> None:
    """The better row of an image comes in a later shard than its worse one."""
    acts = torch.tensor([[2.0], [1.0], [3.0], [2.5]])
    images = ["a.png", "b.png", "b.png", "c.png"]
    store = build_store(tmp_path / "s", acts, images=images, shards=4)
    found = top_images(_concepts(torch.ones(1, 1), "direction"), store, n=2)
    assert found == (("s2", "s3"),)


def test_rows_without_an_image_are_their_samples(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", torch.ones(3, 1), images=["", "", ""])
    found = top_images(_concepts(torch.ones(1, 1), "direction"), store)
    assert found == (("s0", "s1", "s2"),)


@pytest.mark.parametrize("n", [0, -1])
def test_no_images_at_all_is_refused(tmp_path: Path, n: int) -> None:
    store = build_store(tmp_path / "s", torch.ones(3, 1))
    with pytest.raises(GroundingError, match=f"cannot list {n} images"):
        top_images(_concepts(torch.ones(1, 1)), store, n=n)


@pytest.mark.parametrize("kind", ["centroid", "direction"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_state_that_is_not_finite_is_named(tmp_path: Path, kind: str, bad: float) -> None:
    acts = torch.ones(4, 2)
    acts[2, 1] = bad
    store = build_store(tmp_path / "s", acts, shards=2)
    with pytest.raises(GroundingError, match="row 2 is not finite"):
        top_images(_concepts(torch.eye(2), kind), store)


def test_states_of_another_width_are_refused(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", torch.ones(4, 3))
    with pytest.raises(LearnError, match=r"\(n, 2\)"):
        top_images(_concepts(torch.eye(2)), store)


def test_only_chunks_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = build_store(tmp_path / "s", _random(9, 2), shards=3)

    def whole(*_args: Any, **_options: Any) -> torch.Tensor:
        raise AssertionError("the whole store was read")

    monkeypatch.setattr(type(store), "states", whole)
    assert [len(one) for one in top_images(_concepts(torch.eye(2)), store, n=2)] == [2, 2]
