"""The loop that all learners share: options, passes, devices, what comes out."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from shiftlens.concepts import rows as rows_module
from shiftlens.concepts.encoders import Nearest, Projection
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learners.learner import ConceptLearner, Fitting, Learned, View, learners
from shiftlens.concepts.learners.minibatch_kmeans import MiniBatchKMeans
from shiftlens.core.errors import LearnError, ShiftLensError
from shiftlens.core.progress import Progress


def _states(n: int = 40, d: int = 6) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0)) * 3 + 5


@dataclass(frozen=True)
class _Recording(ConceptLearner):
    """Learns k copies of the mean in three passes, and writes down what it was shown."""

    name: ClassVar[str] = "recording"
    k: int = 2
    seed: int = 0
    space: str = "raw"
    passes: int = 3
    wants_rows: bool = True

    def begin(self, view: View) -> "_Notes":
        return _Notes(self, view)


class _Notes(Fitting):
    shown: ClassVar[list[Any]] = []

    def __init__(self, learner: _Recording, view: View) -> None:
        self.wants_rows = learner.wants_rows
        self._learner, self._view = learner, view
        _Notes.shown[:] = [[]]

    def update(self, states: Tensor, numbers: Tensor) -> None:
        self.shown[-1].append((states.clone(), numbers))

    def end_pass(self) -> bool:
        self.shown.append([])
        return len(self.shown) <= self._learner.passes

    def learned(self) -> Learned:
        every = torch.cat([states for _, states in self._view.chunks()])
        vectors = every.mean(dim=0).repeat(self._learner.k, 1)
        return Learned(vectors, "centroid", (), {"told": 1})


@dataclass
class _Listener:
    """Writes down what a listener is told."""

    told: list[Any]

    def start(self, label: str, total: int) -> None:
        self.told.append((label, total))

    def advance(self, n: int = 1) -> None:
        self.told.append(n)

    def stop(self) -> None:
        self.told.append("stop")


def test_every_pass_shows_every_row_in_the_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "CHUNK_VALUES", 6 * 7)
    states = _states()
    found = _Recording(space="centred").fit(states)
    assert len(_Notes.shown) == 4
    assert not _Notes.shown[-1]
    for one in _Notes.shown[:3]:
        assert torch.cat([numbers for _, numbers in one]).tolist() == list(range(40))
        seen = torch.cat([chunk for chunk, _ in one])
        torch.testing.assert_close(seen, states - states.mean(dim=0), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.vectors, states.mean(dim=0).repeat(2, 1))
    assert found.report["told"] == 1
    assert isinstance(found.encoder, Nearest)
    assert found.encoder.space.name == "centred"


def test_a_fit_that_wants_no_rows_is_shown_none() -> None:
    _Recording(wants_rows=False).fit(_states())
    assert _Notes.shown == [[]]


def test_sizes_are_counted_where_a_learner_gives_none() -> None:
    found = _Recording().fit(_states())
    assert sum(found.sizes) == 40
    assert found.sizes.count(0) == found.report["empty_concepts"] == 1


def test_progress_is_told_of_passes_and_of_the_end() -> None:
    listener = _Listener([])
    assert isinstance(listener, Progress)
    _Recording().fit(_states(), progress=listener)
    assert listener.told == [("learning 2 concepts", 0), 1, 1, 1, 1, "stop"]
    failing = _Listener([])
    with pytest.raises(LearnError):
        _Recording().fit(_states() * torch.nan, progress=failing)
    assert failing.told[-1] == "stop"


def test_vectors_that_are_not_finite_are_an_error_not_a_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Learned(torch.full((2, 6), torch.nan), "centroid", (), {})
    monkeypatch.setattr(_Notes, "learned", lambda self: broken)
    with pytest.raises(LearnError, match="vectors that are not finite"):
        _Recording().fit(_states())


def test_unit_vectors_come_back_at_the_usual_length() -> None:
    states = _states()
    found = _Recording(space="unit").fit(states)
    usual = float(states.norm(dim=1).mean())
    torch.testing.assert_close(found.vectors.norm(dim=1), torch.full((2,), usual))


def test_directions_come_back_as_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    states = _states() * torch.arange(1, 7)
    inside = torch.eye(6)[:2]
    given = Learned(inside, "direction", (), {}, Projection(mean=torch.zeros(6)))
    monkeypatch.setattr(_Notes, "learned", lambda self: given)
    found = _Recording(space="standard").fit(states)
    wanted = inside * states.std(dim=0, correction=0)
    torch.testing.assert_close(found.vectors, wanted)


def test_what_the_first_pass_saw_is_reported() -> None:
    states = torch.randn(200, 64, generator=torch.Generator().manual_seed(0))
    states[:, 7] *= 400
    states[:, 3] = 1.5
    report = _Recording().fit(states).report
    assert report["dominant_dimensions"] == [7]
    assert report["constant_dimensions"] == 1


def test_a_device_may_be_named_and_the_outcome_is_on_the_cpu() -> None:
    for device in (None, "cpu", torch.device("cpu")):
        found = KMeans(k=2, space="standard").fit(_states(), device=device)
        assert found.vectors.device.type == "cpu"


@pytest.mark.parametrize("space", ["raw", "unit", "standard", "white"])
def test_an_accelerator_finds_what_the_cpu_finds(space: str) -> None:
    """Where there is none, the CPU is held to itself."""
    where = "cuda" if torch.cuda.is_available() else "cpu"
    centres = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)) * 9
    states = centres[torch.arange(400) % 4] + _states(400) / 3
    learner = KMeans(k=4, space=space)
    here, there = learner.fit(states), learner.fit(states, device=where)
    assert there.vectors.device.type == "cpu"
    assert all(one.device.type == "cpu" for one in there.encoder.tensors().values())
    torch.testing.assert_close(there.vectors, here.vectors, rtol=1e-3, atol=1e-3)
    assert learner.fit(states, device=where).vectors.equal(there.vectors)


@pytest.mark.parametrize(
    ("learner", "options", "message"),
    [
        (KMeans, {"k": 2.5}, "k is 2.5\n  a whole number"),
        (KMeans, {"k": True}, "k is True\n  a whole number"),
        (KMeans, {"k": "3"}, "k is '3'\n  a whole number"),
        (KMeans, {"k": -3}, "cannot learn -3 concepts from 40 rows"),
        (KMeans, {"k": 0}, "k from 1 to 40"),
        (KMeans, {"k": 41}, "choose a smaller k"),
        (KMeans, {"seed": -1}, "seed is -1\n  0 or more"),
        (KMeans, {"seed": 1.0}, "seed is 1.0\n  a whole number"),
        (KMeans, {"n_starts": 0}, "n_starts is 0\n  1 or more"),
        (KMeans, {"max_iter": 0}, "max_iter is 0\n  1 or more"),
        (KMeans, {"max_iter": 1.5}, "max_iter is 1.5\n  a whole number"),
        (KMeans, {"tol": -1e-9}, "tol is -1e-09\n  a finite number, 0 or more"),
        (KMeans, {"tol": float("nan")}, "tol is nan"),
        (KMeans, {"tol": True}, "tol is True"),
        (KMeans, {"space": "whitened"}, "there is no space 'whitened'"),
        (MiniBatchKMeans, {"batch_size": 0}, "batch_size is 0"),
        (MiniBatchKMeans, {"max_passes": -1}, "max_passes is -1"),
    ],
)
def test_impossible_options_are_refused(
    learner: type[ConceptLearner], options: dict[str, Any], message: str
) -> None:
    made = learner()
    for name, value in options.items():
        # Past the check of types that is on in tests only.
        object.__setattr__(made, name, value)
    with pytest.raises(LearnError) as told:
        made.fit(_states())
    assert message in str(told.value)


def test_rows_that_are_all_the_same_teach_one_concept_and_no_more() -> None:
    states = torch.full((30, 4), 0.1)
    with pytest.raises(LearnError, match="all 30 states are the same"):
        KMeans(k=2).fit(states)
    assert KMeans(k=1).fit(states).sizes == (30,)
    states[7, 2] = 0.2
    assert sorted(KMeans(k=2).fit(states).sizes) == [1, 29], "the twin: one differs"


def test_learners_are_known_by_name() -> None:
    assert learners.get("kmeans") is KMeans
    assert KMeans(k=3).options() == {
        "name": "kmeans",
        "k": 3,
        "seed": 0,
        "n_starts": 4,
        "max_iter": 100,
        "tol": 1e-4,
        "space": "raw",
    }
    with pytest.raises(ShiftLensError, match="unknown learner 'k-means'"):
        learners.get("k-means")


def test_a_learned_outcome_encodes_and_assigns() -> None:
    found = KMeans(k=3).fit(_states())
    labels = found.assign(_states())
    assert found.encode(_states()).argmax(dim=1).equal(labels)
    assert replace(found, report={}).vectors.equal(found.vectors)
