"""The contract of every learner: what holds for all of them, whoever wrote them.

A learner is found by being registered in a file of ``shiftlens.concepts.learners``. At the end
stand learners that break the contract, one a property, and are caught.
"""

import json
import pkgutil
from collections.abc import Callable
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_store
from tests.contract.broken_learners import Broken, Listener
from torch import Tensor

from shiftlens.activations.site import Site
from shiftlens.concepts import learners as package
from shiftlens.concepts import rows as rows_module
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.encoders import NO_CONCEPT, Nearest
from shiftlens.concepts.learners import sampling
from shiftlens.concepts.learners.learner import (
    ConceptLearner,
    Learned,
    learners,
)
from shiftlens.concepts.rows import StoreRows
from shiftlens.concepts.space import SPACES
from shiftlens.core.errors import LearnError

for _module in pkgutil.iter_modules(package.__path__):
    import_module(f"{package.__name__}.{_module.name}")

EVERY: dict[str, type[ConceptLearner]] = {
    name: learners.get(name)
    for name in learners.names()
    if learners.get(name).__module__.startswith(package.__name__)
}
K, N, D = 4, 180, 12

EXACT = {
    "kmeans": 1e-4,
    "largest-norm": 0.0,
    "pca": 1e-4,
    "random-directions": 0.0,
    "random-samples": 0.0,
}
"""Learners whose vectors are the same from shards as in memory, to this share of their size."""

NEAR = 0.01
"""For all others: the share by which their objective may be worse."""

SLOW = ("semi-nmf", "sparse-coding")
"""Learners that take long to stand still: here fewer iterations will do."""

DRAWN = ("random-directions", "random-samples")
"""Learners whose outcome must depend on the seed."""

every = pytest.mark.parametrize("kind", EVERY.values(), ids=EVERY)


def _has(kind: type[ConceptLearner], option: str) -> bool:
    return option in {one.name for one in fields(kind)}  # type: ignore[arg-type]


def _spaces(kind: type[ConceptLearner]) -> tuple[str, ...]:
    return SPACES if _has(kind, "space") else ("raw",)


every_other_space = pytest.mark.parametrize(
    ("kind", "space"),
    [(kind, space) for kind in EVERY.values() for space in _spaces(kind) if space != "raw"],
    ids=[f"{name}-{at}" for name, kind in EVERY.items() for at in _spaces(kind) if at != "raw"],
)

# One of each way to encode: what shares its encoder shares what the space does to it.
ONE_OF_EACH = ("kmeans", "sparse-coding", "random-directions")


def _make(kind: type[ConceptLearner], space: str = "raw", **options: Any) -> ConceptLearner:
    quick = {"max_iter": 60} if kind.name in SLOW else {}
    chosen: dict[str, Any] = {"k": K, **quick, **options}
    if space != "raw":
        chosen["space"] = space
    return kind(**chosen)


def _states(n: int = N, d: int = D, *, seed: int = 0) -> Tensor:
    """Groups around a common mean, every dimension of its own size."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(K + 2, d, generator=random) * 2
    states = centres[torch.arange(n) % (K + 2)] + torch.randn(n, d, generator=random) * 0.7
    return states * torch.linspace(0.5, 2, d) + 1


def _concepts(learned: Learned, learner: ConceptLearner) -> Concepts:
    return Concepts(
        vectors=learned.vectors,
        kind=learned.kind,
        site=Site(0),
        sizes=learned.sizes,
        learner={**learner.options(), "report": learned.report},
        encoder=learned.encoder,
    )


def same_seed_same_bits(learner: ConceptLearner) -> None:
    states = _states()
    torch.manual_seed(1)
    one = learner.fit(states)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    other = learner.fit(states)
    assert torch.random.get_rng_state().equal(before), "the global random state is left alone"
    assert one.vectors.equal(other.vectors)
    assert (one.sizes, one.report) == (other.sizes, other.report)
    assert one.encode(states).equal(other.encode(states))


def the_input_stays(learner: ConceptLearner) -> None:
    for dtype in (torch.float32, torch.float16):
        states = _states().to(dtype)
        kept = states.clone()
        learner.fit(states).encode(states)
        assert states.equal(kept)


def rows_are_encoded_alone_as_together(
    learner: ConceptLearner, learned: Learned | None = None
) -> None:
    learned, states = learned or learner.fit(_states()), _states(60, seed=5)
    codes, labels = learned.encode(states), learned.assign(states)
    some = torch.tensor([41, 3, 17, 3])
    scale = float(codes.abs().max())
    torch.testing.assert_close(learned.encode(states[some]), codes[some], rtol=0, atol=1e-4 * scale)
    for row in (0, 29, 59):
        alone = learned.encode(states[row : row + 1])[0]
        torch.testing.assert_close(alone, codes[row], rtol=0, atol=1e-4 * scale)
    assert labels.shape == (60,)
    assert set(labels.tolist()) <= {NO_CONCEPT, *range(len(learned.vectors))}


def sizes_are_those_of_assign(learner: ConceptLearner, learned: Learned | None = None) -> None:
    states = _states()
    learned = learned or learner.fit(states)
    labels = learned.assign(states)
    counted = torch.bincount(labels[labels >= 0], minlength=len(learned.vectors))
    assert learned.sizes == tuple(counted.tolist())
    assert sum(learned.sizes) + int((labels == NO_CONCEPT).sum()) == N


def the_report_is_json_and_tells_how_it_went(learner: ConceptLearner) -> None:
    report = learner.fit(_states()).report
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    for option, told in (
        ("max_iter", ("objective", "iterations", "converged")),
        ("max_passes", ("objective", "iterations", "converged")),
    ):
        if _has(type(learner), option):
            assert set(told) <= report.keys()
            assert isinstance(report["converged"], bool)
            assert report["iterations"] >= 0
    if _has(type(learner), "n_starts"):
        told = report.get("starts", report.get("start_objectives"))
        assert len(told) == learner.n_starts  # type: ignore[attr-defined]


def everything_is_finite_and_float32(
    learner: ConceptLearner, learned: Learned | None = None
) -> None:
    learned = learned or learner.fit(_states())
    assert learned.vectors.dtype == torch.float32
    assert learned.vectors.shape == (learner.k, D)
    assert learned.kind == learner.kind
    for tensor in (learned.vectors, learned.encode(_states()), *learned.encoder.tensors().values()):
        assert bool(torch.isfinite(tensor).all())


def saving_changes_nothing(
    learner: ConceptLearner, path: Path, learned: Learned | None = None
) -> None:
    concepts = _concepts(learned or learner.fit(_states()), learner)
    states = _states(seed=5)
    concepts.save(path / "concepts")
    again = Concepts.load(path / "concepts")
    assert again.vectors.equal(concepts.vectors)
    assert json.dumps(again.to_data()) == json.dumps(concepts.to_data())
    codes = concepts.encode(states)
    assert again.encode(states).equal(codes)
    assert again.assign(states).equal(concepts.assign(states))
    assert again.reconstruct(codes).equal(concepts.reconstruct(codes))


def shards_give_what_memory_gives(learner: ConceptLearner, path: Path) -> None:
    """Whoever calls it has made chunks small for the store's fit."""
    states = _states()
    stored = learner.fit(StoreRows(build_store(path, states, shards=5)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "CHUNK_VALUES", 2**24)
        memory = learner.fit(states)
    if learner.name in EXACT:
        atol = EXACT[learner.name] * float(memory.vectors.abs().max())
        torch.testing.assert_close(stored.vectors, memory.vectors, rtol=0, atol=atol)
        assert stored.sizes == memory.sizes
    else:
        assert stored.report["objective"] <= (1 + NEAR) * memory.report["objective"]


PROPERTIES: tuple[Callable[[ConceptLearner], None], ...] = (
    same_seed_same_bits,
    the_input_stays,
    rows_are_encoded_alone_as_together,
    sizes_are_those_of_assign,
    the_report_is_json_and_tells_how_it_went,
    everything_is_finite_and_float32,
)


def test_the_suite_has_every_learner_of_the_package() -> None:
    wanted = {"kmeans", "minibatch-kmeans", "random-samples", "random-directions", "largest-norm"}
    assert wanted <= EVERY.keys()
    assert EXACT.keys() - {"pca"} <= EVERY.keys()
    for name, kind in EVERY.items():
        assert kind.name == name
        assert kind.kind in ("centroid", "direction")
        assert kind.__doc__


@every
@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda one: one.__name__)
def test_property(kind: type[ConceptLearner], holds: Callable[[ConceptLearner], None]) -> None:
    holds(_make(kind))


@every
def test_saved_and_loaded_it_is_the_same(kind: type[ConceptLearner], tmp_path: Path) -> None:
    saving_changes_nothing(_make(kind), tmp_path)


@every_other_space
def test_what_a_space_could_change_holds_in_every_space(
    kind: type[ConceptLearner], space: str, tmp_path: Path
) -> None:
    """Codes, sizes, what is kept; what else holds in ``raw`` does not ask for the space."""
    learner = _make(kind, space)
    learned = learner.fit(_states())
    rows_are_encoded_alone_as_together(learner, learned)
    sizes_are_those_of_assign(learner, learned)
    everything_is_finite_and_float32(learner, learned)
    saving_changes_nothing(learner, tmp_path, learned)


@every
@pytest.mark.parametrize("held", [True, False], ids=["all rows fit", "a sample fits"])
def test_streamed_it_is_what_it_is_in_memory(
    kind: type[ConceptLearner], held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not held:
        monkeypatch.setattr(sampling, "SAMPLE_VALUES", 90 * D)
    monkeypatch.setattr(rows_module, "CHUNK_VALUES", 11 * D)
    shards_give_what_memory_gives(_make(kind), tmp_path)


@every
def test_another_seed_may_end_elsewhere(kind: type[ConceptLearner]) -> None:
    one, other = (_make(kind, seed=seed).fit(_states()) for seed in (0, 1))
    assert one.vectors.shape == other.vectors.shape
    if kind.name in DRAWN:
        assert not one.vectors.equal(other.vectors)


@every
def test_any_float_type_will_do(kind: type[ConceptLearner]) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        states = _states().to(dtype)
        learned = _make(kind).fit(states)
        assert learned.vectors.dtype == torch.float32
        assert learned.encode(states).dtype == torch.float32
        same = _make(kind).fit(states.float())
        torch.testing.assert_close(learned.vectors, same.vectors, rtol=1e-4, atol=1e-4)


@every
def test_options_are_frozen_json_and_no_others(kind: type[ConceptLearner]) -> None:
    learner = _make(kind)
    options = learner.options()
    assert json.loads(json.dumps(options)) == options
    name = options.pop("name")
    assert learners.get(name)(**options) == learner
    with pytest.raises(AttributeError):
        learner.k = 3
    with pytest.raises(TypeError, match="unexpected keyword"):
        kind(k=K, no_such_option=1)  # type: ignore[call-arg]


@every
def test_a_k_that_the_rows_do_not_allow_is_refused(kind: type[ConceptLearner]) -> None:
    for k in (0, -1, N + 1):
        with pytest.raises(LearnError, match=f"cannot learn {k} concepts") as told:
            _make(kind, k=k).fit(_states())
        assert "k from 1 to" in str(told.value)


@every
def test_rows_that_are_not_finite_are_counted_and_float16_is_named(
    kind: type[ConceptLearner],
) -> None:
    for bad in (torch.nan, torch.inf, -torch.inf):
        states = _states()
        states[[2, 77], 3] = bad
        with pytest.raises(LearnError, match=f"2 of {N} states are not finite"):
            _make(kind).fit(states)
    with pytest.raises(LearnError, match="float16 ends at 65,504"):
        _make(kind).fit((_states() * 1e5).half())


@every
def test_rows_that_are_all_the_same_teach_nothing(kind: type[ConceptLearner]) -> None:
    with pytest.raises(LearnError, match="all 30 states are the same"):
        _make(kind).fit(torch.full((30, D), 0.3))


def _sound(learned: Learned, states: Tensor, k: int) -> None:
    assert learned.vectors.shape == (k, states.shape[1])
    labels = learned.assign(states)
    for tensor in (learned.vectors, learned.encode(states), *learned.encoder.tensors().values()):
        assert bool(torch.isfinite(tensor).all())
    assert learned.sizes == tuple(torch.bincount(labels[labels >= 0], minlength=k).tolist())
    assert sum(learned.sizes) + int((labels == NO_CONCEPT).sum()) == len(states)
    assert json.dumps(learned.report, allow_nan=False)


def one_concept_will_do(kind: type[ConceptLearner], space: str) -> None:
    _sound(_make(kind, space, k=1).fit(_states()), _states(), 1)


def one_row_makes_one_concept_or_a_clear_error(kind: type[ConceptLearner], space: str) -> None:
    states = _states(1)
    try:
        learned = _make(kind, space, k=1).fit(states)
    except LearnError as error:
        told = error.allowed or error.remedy
    else:
        told = "learned"
        _sound(learned, states, 1)
    assert told


def constant_columns_duplicates_and_zeros_do_no_harm(
    kind: type[ConceptLearner], space: str
) -> None:
    states = _states(60)
    states[:, [0, 5]] = 2.5
    states[20:40] = states[:20]
    states[40:45] = 0
    learned = _make(kind, space).fit(states)
    _sound(learned, states, K)
    assert learned.report["zero_rows"] == 5


def fewer_different_rows_than_concepts_are_counted_as_assigned(
    kind: type[ConceptLearner], space: str
) -> None:
    """Concepts that are equal, or nearly: counted is what ``assign`` says, in pieces too."""
    few = _states(3)
    few[1] = 0
    states, learner = few.repeat(20, 1), _make(kind, space, k=5)
    memory = learner.fit(states)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "CHUNK_VALUES", 11 * D)
        patch.setattr(sampling, "SAMPLE_VALUES", 45 * D)
        streamed = learner.fit(states)
    for learned in (memory, streamed):
        _sound(learned, states, 5)
        empty = learned.sizes.count(0)
        assert learned.report.get("empty_concepts", 0) == empty
        assert learned.report.get("different_rows", 3) == 3
        assert ("different_rows" in learned.report) == (empty > 0)
        if learned.kind == "centroid":
            assert sorted(learned.sizes)[:2] == [0, 0]
    if learner.kind == "centroid":
        assert sorted(memory.sizes) == sorted(streamed.sizes)


def fewer_rows_than_dimensions_will_do(kind: type[ConceptLearner], space: str) -> None:
    states = _states(8, 40)
    _sound(_make(kind, space).fit(states), states, K)


DEGENERATE: tuple[Callable[[type[ConceptLearner], str], None], ...] = (
    one_concept_will_do,
    one_row_makes_one_concept_or_a_clear_error,
    constant_columns_duplicates_and_zeros_do_no_harm,
    fewer_different_rows_than_concepts_are_counted_as_assigned,
    fewer_rows_than_dimensions_will_do,
)


@every
@pytest.mark.parametrize("holds", DEGENERATE, ids=lambda one: one.__name__)
def test_rows_of_odd_kinds(
    kind: type[ConceptLearner], holds: Callable[[type[ConceptLearner], str], None]
) -> None:
    holds(kind, "raw")


@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.parametrize("space", [one for one in SPACES if one != "raw"])
def test_rows_of_odd_kinds_in_every_space(name: str, space: str) -> None:
    for holds in DEGENERATE:
        holds(EVERY[name], space)


@every
def test_states_of_another_width_do_not_fit(kind: type[ConceptLearner]) -> None:
    learner = _make(kind)
    concepts = _concepts(learner.fit(_states()), learner)
    for use in (concepts.encode, concepts.assign):
        with pytest.raises(LearnError, match=rf"\(5, {D + 1}\) do not fit these concepts"):
            use(torch.zeros(5, D + 1))


@every
def test_progress_is_told(kind: type[ConceptLearner]) -> None:
    listener = Listener()
    _make(kind).fit(_states(), progress=listener)
    assert listener.labels == [f"learning {K} concepts"]
    assert listener.steps >= 1
    assert listener.stops == 1


# Learners that break the contract: ``broken_learners``.


FAULTS: dict[str, Callable[[ConceptLearner], None]] = {
    "is not seeded": same_seed_same_bits,
    "changes its input": the_input_stays,
    "encodes rows by their neighbours": rows_are_encoded_alone_as_together,
    "miscounts": sizes_are_those_of_assign,
    "tells nothing": the_report_is_json_and_tells_how_it_went,
    "reports what is no JSON": the_report_is_json_and_tells_how_it_went,
    "has another type": everything_is_finite_and_float32,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_twin_a_broken_learner_is_caught(fault: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        FAULTS[fault](Broken(fault=fault))


@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda one: one.__name__)
def test_twin_without_its_fault_it_passes(holds: Callable[[ConceptLearner], None]) -> None:
    holds(Broken())


def test_twin_what_depends_on_the_chunks_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "CHUNK_VALUES", 11 * D)
    shards_give_what_memory_gives(Broken(), tmp_path / "sound")
    monkeypatch.setitem(EXACT, "broken", 1e-4)
    broken = Broken(fault="learns from the last chunk")
    with pytest.raises(AssertionError):
        shards_give_what_memory_gives(broken, tmp_path / "broken")


@pytest.mark.parametrize("lost", ["encoder", "digits"])
def test_twin_what_is_not_kept_is_missed(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = _make(EVERY["kmeans"], "standard")
    saving_changes_nothing(learner, tmp_path)
    plain = Concepts.from_data

    def forgetful(tensors: Any, data: Any) -> Concepts:
        found = plain(tensors, data)
        if lost == "encoder":
            return replace(found, encoder=Nearest())
        return replace(found, vectors=found.vectors.half().float())

    monkeypatch.setattr(Concepts, "from_data", staticmethod(forgetful))
    with pytest.raises(AssertionError):
        saving_changes_nothing(learner, tmp_path)
