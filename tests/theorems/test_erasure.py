"""Theorems of LEACE and of the affine switch, each with a twin that must fail."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tests.builders import build_store

from shiftlens.activations.store import ActivationStore
from shiftlens.core.errors import SteeringError
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.covariance import Covariance, classes_of
from shiftlens.steering.directions import labelled, mean_difference
from shiftlens.steering.leace import erase
from shiftlens.steering.operators import Ablate
from shiftlens.steering.switching import switch

D = 10
NAMES = ("dog", "cat", "bus")


def _states(n: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, list[str]]:
    """States far from the origin, correlated, with class means apart along two directions."""
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(D, D, generator=torch.Generator().manual_seed(99))
    labels = [NAMES[row % classes] for row in range(n)]
    means = 2.0 * torch.randn(3, D, generator=torch.Generator().manual_seed(98))
    noise = torch.randn(n, D, generator=random) @ mix
    return noise + means[[NAMES.index(one) for one in labels]] + 20, labels


def _seed(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _whitening(states: torch.Tensor) -> torch.Tensor:
    """The inverse square root of the covariance of states: (d, d)."""
    values, vectors = np.linalg.eigh(np.cov(states.double().numpy().T))
    return torch.from_numpy((vectors / np.sqrt(values)) @ vectors.T).float()


def _store(path: Path, n: int = 600, classes: int = 2, shards: int = 3) -> ActivationStore:
    states, labels = _states(n, classes)
    return build_store(path, states, labels=[{"what": one} for one in labels], shards=shards)


def _gap(states: torch.Tensor, labels: list[str]) -> float:
    """How far apart the class means lie, at most."""
    names = list(dict.fromkeys(labels))
    means = [states[[one == name for one in labels]].double().mean(dim=0) for name in names]
    return max(float((a - b).norm()) for a in means for b in means)


def _cross(states: torch.Tensor, labels: list[str]) -> float:
    """Size of the covariance of states with classes, written as zeros and ones."""
    ones = torch.tensor([[one == name for name in dict.fromkeys(labels)] for one in labels])
    centred = states.double() - states.double().mean(dim=0)
    return float((centred.T @ ones.double() / len(states)).norm())


def _mahalanobis(change: torch.Tensor, states: torch.Tensor) -> float:
    """Mean squared length of changes, measured by the covariance of the states."""
    covariance = torch.from_numpy(np.cov(states.double().numpy().T))
    change = change.double()
    return float((change @ torch.linalg.inv(covariance) * change).sum(dim=1).mean())


def _probe(states: torch.Tensor, labels: list[str]) -> float:
    """Accuracy of a linear probe on the rows that it was fitted on."""
    probe = LogisticRegression(max_iter=5000).fit(states.numpy(), labels)
    return float(probe.score(states.numpy(), labels))


@pytest.mark.parametrize("classes", [2, 3])
def test_leace_leaves_no_linear_trace(tmp_path: Path, classes: int) -> None:
    store = _store(tmp_path / "s", classes=classes)
    states, labels = _states(600, classes)
    edit = erase(store, labels)
    erased = edit.apply(states, 1.0)
    assert edit.rank == classes - 1
    assert _gap(states, labels) > 1
    assert _gap(erased, labels) < 1e-3
    assert _cross(erased, labels) < 1e-4 * _cross(states, labels)
    assert _probe(states, labels) > 0.9
    assert _probe(erased, labels) < 1 / classes + 0.03


def test_twin_ablating_one_direction_of_three_classes_leaves_one(tmp_path: Path) -> None:
    store = _store(tmp_path / "s", classes=3)
    states, labels = _states(600, 3)
    vector = mean_difference(store, source=labelled("what", "dog"), target=labelled("what", "cat"))
    ablated = Ablate().apply(states, vector.direction, 1.0)
    assert _gap(ablated, labels) > 1
    assert _probe(ablated, labels) > 0.5


@pytest.mark.parametrize("shrinkage", [0.0, 0.2, 1.0, None])
def test_whatever_the_shrinkage_fitted_rows_are_erased(
    tmp_path: Path, shrinkage: float | None
) -> None:
    states, labels = _states(600, 3)
    edit = erase(_store(tmp_path / "s", classes=3), labels, shrinkage=shrinkage)
    assert _gap(edit.apply(states, 1.0), labels) < 1e-3


def test_leace_changes_less_than_ablation_which_erases_as_much(tmp_path: Path) -> None:
    """Both leave equal means; where states are correlated the oblique projection is closer."""
    store = _store(tmp_path / "s")
    states, labels = _states(600, 2)
    change = erase(store, labels, shrinkage=0.0).apply(states, 1.0) - states
    orthogonal = erase(store, labels, shrinkage=1.0).apply(states, 1.0) - states
    gap = mean_difference(store, source=labelled("what", "dog"), target=labelled("what", "cat"))
    unit = gap.direction / gap.norm
    expected = -((states - states.mean(dim=0)) @ unit)[:, None] * unit
    torch.testing.assert_close(orthogonal, expected, atol=1e-3, rtol=0)
    assert _gap(states + orthogonal, labels) < 1e-3
    assert float(change.square().sum()) < 0.95 * float(orthogonal.square().sum())
    assert _mahalanobis(change, states) < 0.95 * _mahalanobis(orthogonal, states)


def test_twin_where_states_are_a_sphere_both_are_one(tmp_path: Path) -> None:
    states, labels = _states(600, 2)
    store = build_store(tmp_path / "s", (states - 20) @ _whitening(states))
    sphere = store.states()
    closest, orthogonal = (
        erase(store, labels, shrinkage=share).apply(sphere, 1.0) for share in (0.0, 1.0)
    )
    torch.testing.assert_close(closest, orthogonal, atol=1e-3, rtol=0)


def test_twin_ablating_takes_the_common_part_along(tmp_path: Path) -> None:
    """Plain ablation erases the difference too, and moves all states by what they share."""
    states, labels = _states(600, 2)
    store = _store(tmp_path / "s")
    vector = mean_difference(store, source=labelled("what", "dog"), target=labelled("what", "cat"))
    ablated = Ablate().apply(states, vector.direction, 1.0)
    erased = erase(store, labels).apply(states, 1.0)
    assert _gap(ablated, labels) < 1e-3
    torch.testing.assert_close(erased.mean(dim=0), states.mean(dim=0), atol=1e-3, rtol=0)
    assert float((ablated.mean(dim=0) - states.mean(dim=0)).norm()) > 5
    changed = [float((after - states).square().sum()) for after in (erased, ablated)]
    assert changed[0] < 0.1 * changed[1]


def test_leace_never_makes_states_scatter_more(tmp_path: Path) -> None:
    """tr(P S P') <= tr(S): no second rule is needed to keep states from growing."""
    states, labels = _states(600, 3)
    edit = erase(_store(tmp_path / "s", classes=3), labels, shrinkage=0.0)
    total = [float(x.double().var(dim=0).sum()) for x in (states, edit.apply(states, 1.0))]
    assert total[1] < total[0]
    reflected = float(edit.apply(states, 3.0).double().var(dim=0).sum())
    assert reflected > total[0]  # twin: that holds at strength 1, not at every one


def test_few_rows_need_shrinkage(tmp_path: Path) -> None:
    """About as many rows as entries: without shrinkage the map follows the noise of its rows."""
    states = torch.randn(1000, 40, generator=_seed(0)) * torch.linspace(1, 5, 40)
    states[::2, 20:] += 1
    labels, unseen = ["dog", "cat"] * 500, states[500:]

    def changed(n: int, share: float | None) -> float:
        store = build_store(tmp_path / f"{n}-{share}", states[:n])
        edit = erase(store, labels[:n], shrinkage=share)
        return float((edit.apply(unseen, 1.0) - unseen).square().sum(dim=1).mean())

    assert changed(44, None) < 0.2 * changed(44, 0.0)
    assert changed(500, None) == pytest.approx(changed(500, 0.0), rel=0.1)  # twin: many do not


def test_leace_on_rows_that_it_never_saw_leaves_little(tmp_path: Path) -> None:
    edit = erase(_store(tmp_path / "s", n=2000), _states(2000, 2)[1])
    states, labels = _states(2000, 2, seed=5)
    assert _gap(edit.apply(states, 1.0), labels) < 0.3 * _gap(states, labels)


def test_erasing_twice_is_erasing_once(tmp_path: Path) -> None:
    states, labels = _states(600, 3)
    edit = erase(_store(tmp_path / "s", classes=3), labels)
    once = edit.apply(states, 1.0)
    torch.testing.assert_close(edit.apply(once, 1.0), once, atol=1e-3, rtol=1e-4)
    half = edit.apply(states, 0.5)  # twin: a half is not
    with pytest.raises(AssertionError):
        torch.testing.assert_close(edit.apply(half, 0.5), half, atol=1e-3, rtol=1e-4)


def test_shards_do_not_matter(tmp_path: Path) -> None:
    labels = _states(600, 3)[1]
    one = erase(_store(tmp_path / "a", classes=3, shards=1), labels)
    many = erase(_store(tmp_path / "b", classes=3, shards=7), labels)
    states = _states(600, 3, seed=2)[0]
    torch.testing.assert_close(one.apply(states, 1.0), many.apply(states, 1.0))
    view = _store(tmp_path / "c", classes=3, shards=7).at_rows(list(range(599, -1, -1)))
    turned = erase(view, labels[::-1])
    torch.testing.assert_close(one.apply(states, 1.0), turned.apply(states, 1.0))
    wrong = [labels[at] for at in np.random.default_rng(0).permutation(600)]
    with pytest.raises(AssertionError):  # twin: labels of other rows are other classes
        torch.testing.assert_close(one.apply(states, 1.0), erase(view, wrong).apply(states, 1.0))


def test_streaming_is_in_memory() -> None:
    rows = torch.randn(301, 7, generator=torch.Generator().manual_seed(1)).double() * 3 + 1e4
    whole = Covariance(7)
    for start in range(0, 301, 13):
        part = Covariance(7)
        part.update(rows[start : start + 13])
        whole.merge(part)
    torch.testing.assert_close(whole.mean, rows.mean(dim=0), atol=1e-9, rtol=0)
    expected = torch.from_numpy(np.cov(rows.numpy().T, bias=True))
    torch.testing.assert_close(whole.matrix, expected, atol=1e-8, rtol=0)
    # Twin: in float32, squares minus the squared mean lose it all this far from the origin.
    single = rows.float()
    naive = single.T @ single / 301 - torch.outer(single.mean(0), single.mean(0))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(naive.double(), expected, atol=1e-2, rtol=0)


def test_constant_and_repeated_entries_are_left_alone(tmp_path: Path) -> None:
    states, labels = _states(600, 2)
    states[:, 3] = 7.0
    states[:, 4] = states[:, 5]
    edit = erase(build_store(tmp_path / "s", states), labels)
    erased = edit.apply(states, 1.0)
    assert _gap(erased, labels) < 1e-3
    torch.testing.assert_close(erased[:, 3], states[:, 3], atol=1e-3, rtol=0)
    torch.testing.assert_close(erased[:, 4], erased[:, 5], atol=1e-3, rtol=0)


def test_nothing_to_erase_is_refused(tmp_path: Path) -> None:
    store = _store(tmp_path / "s")
    with pytest.raises(SteeringError, match="every row is of the class dog"):
        erase(store, ["dog"] * 600)
    with pytest.raises(SteeringError, match="fewer than 5 rows of cat"):
        erase(store, ["cat"] * 3 + ["dog"] * 597)
    with pytest.raises(SteeringError, match="3 labels for 600 rows"):
        erase(store, ["dog"] * 3)
    with pytest.raises(SteeringError, match="do not vary"):
        erase(build_store(tmp_path / "flat", torch.ones(40, D)), ["a", "b"] * 20)
    same = torch.randn(20, D, generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    with pytest.raises(SteeringError, match="same mean"):
        erase(build_store(tmp_path / "same", same), ["a"] * 20 + ["b"] * 20)
    broken = _states(40, 2)[0]
    broken[3, 3] = float("nan")
    with pytest.raises(SteeringError, match="not finite"):
        erase(build_store(tmp_path / "nan", broken), ["a", "b"] * 20)


def _switched(path: Path, shrinkage: float = 0.0) -> tuple[AffineEdit, ActivationStore]:
    store = _store(path, classes=3)
    edit = switch(
        store,
        source=labelled("what", "dog"),
        target=labelled("what", "cat"),
        shrinkage=shrinkage,
    )
    return edit, store


@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_the_switch_moves_source_to_target_and_keeps_the_neutral(
    tmp_path: Path, shrinkage: float
) -> None:
    edit, store = _switched(tmp_path / "s", shrinkage)
    means = classes_of(store, lambda row: row.labels["what"]).means.float()
    dog, cat, bus = means[:, None]
    torch.testing.assert_close(edit.apply(dog, 1.0), cat, atol=1e-3, rtol=0)
    torch.testing.assert_close(edit.apply(bus, 1.0), bus, atol=1e-3, rtol=0)
    torch.testing.assert_close(edit.apply(dog, 0.5), (dog + cat) / 2, atol=1e-3, rtol=0)
    other_side = 2 * bus - dog  # as far from the neutral mean as the source, the other way
    torch.testing.assert_close(edit.apply(other_side, 1.0), other_side, atol=1e-3, rtol=0)


def test_twin_addition_moves_the_neutral_as_well(tmp_path: Path) -> None:
    _, store = _switched(tmp_path / "s")
    vector = mean_difference(store, source=labelled("what", "dog"), target=labelled("what", "cat"))
    bus = classes_of(store, lambda row: row.labels["what"]).means.float()[2:]
    with pytest.raises(AssertionError):
        torch.testing.assert_close(bus + vector.direction, bus, atol=1e-3, rtol=0)


def test_leace_switch_meets_its_own_promise(tmp_path: Path) -> None:
    """Source and target read 1 apart; the source arrives at strength 1 / reading, not at 1."""
    store = _store(tmp_path / "s", classes=3)
    dog_, cat_ = labelled("what", "dog"), labelled("what", "cat")
    edit = switch(store, source=dog_, target=cat_, variant="leace")
    means = classes_of(store, lambda row: row.labels["what"]).means.float()
    dog, cat, bus = means[:, None]
    reading = [float((one[0] - edit.mean) @ edit.right[0]) for one in (dog, cat)]
    assert reading[0] - reading[1] == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(edit.apply(bus, 1.0), bus, atol=1e-3, rtol=0)
    torch.testing.assert_close(edit.apply(dog, 1 / reading[0]), cat, atol=1e-3, rtol=0)
    with pytest.raises(AssertionError):  # twin: it is not what the other variant does
        torch.testing.assert_close(edit.apply(dog, 1.0), cat, atol=1e-3, rtol=0)


def test_the_switch_disturbs_neutral_states_less_than_addition(tmp_path: Path) -> None:
    edit, store = _switched(tmp_path / "s")
    neutral = store.where(labelled("what", "bus")).states()
    vector = mean_difference(store, source=labelled("what", "dog"), target=labelled("what", "cat"))
    moved = (edit.apply(neutral, 1.0) - neutral).square().sum(dim=1).mean()
    assert float(moved) < 0.3 * vector.norm**2


def test_the_switch_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    store = _store(tmp_path / "s", classes=3)
    dog, cat = labelled("what", "dog"), labelled("what", "cat")
    with pytest.raises(SteeringError, match="source and target at once"):
        switch(store, source=dog, target=dog)
    with pytest.raises(SteeringError, match="only 0 of 600 rows are target"):
        switch(store, source=dog, target=labelled("what", "horse"))
    with pytest.raises(SteeringError, match="unknown variant 'x'"):
        switch(store, source=dog, target=cat, variant="x")
    with pytest.raises(SteeringError, match="shrinkage of 2"):
        switch(store, source=dog, target=cat, shrinkage=2.0)
    with pytest.raises(SteeringError, match="only 0 of 600 rows are neutral"):
        switch(store, source=dog, target=cat, neutral=lambda row: False)
    states, labels = _states(60, 3)
    broken = states.clone()
    broken[4, 4] = float("inf")
    named = [{"what": one} for one in labels]
    with pytest.raises(SteeringError, match="not finite"):
        switch(build_store(tmp_path / "inf", broken, labels=named), source=dog, target=cat)
    same = states[torch.arange(60) // 3 * 3]  # the three classes hold the same states
    with pytest.raises(SteeringError, match="same mean: there is nowhere to move"):
        switch(build_store(tmp_path / "same", same, labels=named), source=dog, target=cat)
    like = states.clone()
    like[2::3] = like[0::3]
    with pytest.raises(SteeringError, match="cannot be told from the neutral ones"):
        switch(build_store(tmp_path / "like", like, labels=named), source=dog, target=cat)
    with pytest.raises(SteeringError, match="no label 'nothing'"):
        switch(store, source=labelled("nothing"), target=cat)


def test_an_edit_comes_back_from_its_files(tmp_path: Path) -> None:
    edit, _ = _switched(tmp_path / "s")
    edit.save(tmp_path / "edit")
    back = AffineEdit.load(tmp_path / "edit")
    states = _states(50, 3, seed=4)[0]
    assert back.apply(states, 1.0).equal(edit.apply(states, 1.0))
    assert (back.layer, back.kind, back.clipped, back.rank) == (0, "affine switch", True, 1)
    assert back.provenance["rows"] == {"source": 200, "target": 200, "neutral": 200}
