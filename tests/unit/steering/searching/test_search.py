"""``search``: on the world it finds what steers, within budgets, and says what other data say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_vector

from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import last_prompt
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError, StoreError
from shiftlens.core.intervals import Interval
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model
from shiftlens.steering.applying import steer
from shiftlens.steering.directions import random_like
from shiftlens.steering.keeping.steering import Steering
from shiftlens.steering.outcomes import is_answer
from shiftlens.steering.searching import OffTarget, Search, asking, layer_directions, search
from shiftlens.steering.tasks.answers import AnswersTask
from shiftlens.steering.tasks.task import Measure, Scores, Task
from shiftlens.world.source import materialise

NEW = 4


@dataclass(frozen=True)
class Changed(Task):
    """Whether an answer is another one than before; short ones are what must not become long."""

    max_new_tokens: int = NEW
    fails: bool = False

    name = "changed"
    measures = (
        Measure("changed", "answers that changed"),
        Measure("long", "answers with many words", role="side effect", higher_is_better=False),
        Measure("words", "words", is_share=False),
    )

    def score(
        self, samples: Sequence[Sample], before: Sequence[str], after: Sequence[str]
    ) -> Scores:
        sizes = [float(len(text.split())) for text in after]
        return {
            "changed": [float(a != b) for a, b in zip(before, after, strict=True)][self.fails :],
            "long": [float(size > NEW) for size in sizes],
            "words": sizes,
        }


@dataclass(frozen=True)
class Silentish(Changed):
    """Says nothing about anything."""

    def score(self, *args: Any) -> Scores:
        scores = super().score(*args)
        return {**scores, "changed": [None for _ in scores["changed"]]}


def _few(brief: Model, questions: list[Sample], **options: Any) -> Search:
    """Six samples, a choosing half of three: nothing is sure, everything is fast."""
    settings: dict[str, Any] = {
        "directions": lambda layer: build_vector(layer=layer, length=40.0),
        "layers": [1, 2],
        "strengths": [0.01, 1.0],
        "batch_size": 4,
        **options,
    }
    task = settings.pop("task", Changed())
    return search(brief, task, Samples(questions), **settings)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Samples]:
    folder = tmp_path_factory.mktemp("world")
    sizes = {"yesno": 100, "number": 32}
    return {name: read(materialise(name, folder / name, n=n, seed=5)) for name, n in sizes.items()}


@pytest.fixture(scope="module")
def directions(
    _pair: tuple[Model, Model],
    world: Mapping[str, Samples],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[int, SteeringVector]:
    out = tmp_path_factory.mktemp("fit")
    store = harvest(_pair[0], world["yesno"][:50], Site((1, 4), last_prompt()), out / "store")
    return layer_directions(
        store,
        source=lambda row: is_answer(row.response, "yes"),
        target=lambda row: is_answer(row.response, "no"),
    )


@pytest.fixture(scope="module")
def options(world: Mapping[str, Samples], directions: dict[int, SteeringVector]) -> dict[str, Any]:
    """A search of four cells with a cost, on 25 samples of each half."""
    return {
        "task": AnswersTask("yes", "no"),
        "samples": world["yesno"][50:],
        "directions": directions,
        "layers": [1, 4],
        "strengths": [1.0, 1.6],
        "off_target": [OffTarget("number", world["number"])],
        "budgets": ["loss <= .2", "first_token_kl <= 6"],
    }


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def found(_pair: tuple[Model, Model], options: dict[str, Any], out: Path) -> Search:
    return search(_pair[0], **options, out=out)


def test_it_finds_what_steers_and_keeps_the_budgets(
    found: Search, base: Model, world: Mapping[str, Samples]
) -> None:
    cell = found.chosen.cell
    assert cell is not None
    assert (cell.layer, cell.strength) == (4, 1.0)
    assert found.held_out.effect is not None
    assert found.held_out.effect.estimate > 0.9
    assert found.above_controls
    assert len(found.controls) == 3
    assert found.unsteered.effect is not None
    assert found.unsteered.effect.estimate == 0
    strong = {c.cell.strength: c for c in found.cells if c.cell and c.cell.layer == 4}[1.6]
    assert strong.costs["loss:number"].low > 0.2
    assert strong.effect is not None
    assert strong.effect.estimate > 0.9, "the budget, and not the effect, ruled it out"
    yes = next(s for s in world["yesno"] if s.labels["answer"] == "yes")
    before = base.generate(yes.images[0], yes.prompt)
    with steer(base, [found.best]):
        after = base.generate(yes.images[0], yes.prompt)
    assert (before, after) == ("yes", "no")


def test_it_is_saved_read_back_and_told(
    found: Search, base: Model, out: Path, tmp_path: Path, world: Mapping[str, Samples]
) -> None:
    again = Search.load(out)
    assert again.to_dict() == found.to_dict()
    asked = world["number"][:4]
    with steer(base, [found.best]):
        mine = base.respond(asked, max_new_tokens=NEW)
    with steer(base, [again.best]):
        assert base.respond(asked, max_new_tokens=NEW) == mine
    whole = Steering.load(out)
    assert whole.provenance["made by"] == "search"
    assert whole.description.startswith("chosen of 4: ")
    with steer(base, whole):
        assert base.respond(asked, max_new_tokens=NEW) == mine
    rows = found.table()
    assert len(rows) == 4
    assert sum(row["chosen"] for row in rows) == 1
    assert {"layer", "effect_low", "loss:number", "dose", "dropped"} <= set(rows[0])
    text = found.summary()
    assert "chosen of 4: layer 4, add x 1, response" in text
    assert "intervals apart" in text
    assert "winner's curse" in text
    (tmp_path / "search.json").write_text('{"kind": "diff", "schema": 1}')
    with pytest.raises(StoreError, match="holds 'diff' of schema 1"):
        Search.load(tmp_path)


def test_the_second_time_nothing_is_generated(
    found: Search,
    base: Model,
    options: dict[str, Any],
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "generate", None)
    assert search(base, **options, out=out).to_dict() == found.to_dict()


def test_twin_a_random_direction_is_not_above_random_directions(
    base: Model, world: Mapping[str, Samples], directions: dict[int, SteeringVector]
) -> None:
    nothing = search(
        base,
        AnswersTask("yes", "no"),
        world["yesno"][50:],
        directions=lambda layer: random_like(directions[layer], 77),
        layers=[4],
        strengths=[1.0],
        controls=2,
    )
    assert not nothing.above_controls
    assert "intervals OVERLAP" in nothing.summary()


def test_no_sample_chooses_and_reports(brief: Model, questions: list[Sample]) -> None:
    found = _few(brief, questions, halving=False)
    sizes = found.about["n"]
    assert (sizes["choosing"]["target"], sizes["reporting"]["target"]) == (3, 3)
    assert len({one["id"] for one in found.examples}) == 3
    assert found.held_out.n == 3
    assert all(one.n == 3 for one in found.cells)


def test_samples_of_one_picture_stay_in_one_half(brief: Model, questions: list[Sample]) -> None:
    twice = [replace(s, id=f"{s.id}-{i}") for s in questions for i in range(2)]
    found = _few(brief, twice, halving=False)
    pictures = {one["id"].split("-")[0] for one in found.examples}
    assert len(found.examples) == 6
    assert len(pictures) == 3


def test_of_equal_effects_the_smaller_dose_wins(brief: Model, questions: list[Sample]) -> None:
    found = _few(brief, questions, strengths=[9.0, 3.0, 6.0], layers=[1])
    effects = {one.effect.estimate for one in found.cells if one.effect}
    assert effects == {1.0}, "all of them change everything"
    assert found.chosen.cell is not None
    assert found.chosen.cell.strength == 3.0
    assert found.chosen.dose == min(one.dose for one in found.cells)


def test_halving_chooses_what_asking_everything_chooses(
    brief: Model, questions: list[Sample]
) -> None:
    many = [replace(s, id=f"{s.id}-{i}") for s in questions for i in range(12)]
    options: dict[str, Any] = {"batch_size": 32, "strengths": [0.01, 9.0]}
    halved = _few(brief, many, **options)
    whole = _few(brief, many, halving=False, **options)
    assert halved.chosen == whole.chosen
    assert halved.held_out == whole.held_out
    dropped = [one for one in halved.cells if one.dropped]
    assert [one.cell.strength for one in dropped if one.cell] == [0.01, 0.01]
    assert {one.n for one in dropped} == {18}
    assert all(one.n == 36 for one in whole.cells)


def test_side_effects_of_the_task_are_costs(brief: Model, questions: list[Sample]) -> None:
    found = _few(brief, questions, budgets=["long <= 1"], judges={"letters": _letters})
    assert list(found.chosen.costs) == [
        "long",
        "first_token_kl:target",
        "repeats:target",
        "letters:target",
    ]
    assert found.standings == {"long <= 1": "kept"}
    assert found.against == "long"


def test_costs_that_rose_without_a_budget_are_named(brief: Model, questions: list[Sample]) -> None:
    found = _few(brief, questions)
    rose = {"lost": Interval(0.5, 0.2, 0.8), "noise": Interval(0.1, -0.1, 0.3)}
    costly = replace(found, held_out=replace(found.held_out, costs=rose))
    assert costly.unbounded == ("lost",)
    assert "NO BUDGET bounds lost" in costly.summary()
    assert replace(costly, budgets=("lost <= 1",)).unbounded == ()
    # A budget on what no sample told anything about is neither kept nor an error.
    assert replace(costly, budgets=("refusals_kept <= .1",)).standings == {
        "refusals_kept <= .1": "undecided"
    }


def _letters(_samples: Sequence[Sample], texts: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in texts]


def test_another_measure_may_be_the_objective(brief: Model, questions: list[Sample]) -> None:
    found = _few(brief, questions, objective="words")
    assert found.about["objective"]["name"] == "words"
    assert found.chosen.effect is not None
    assert found.chosen.effect.estimate > 1


def test_a_gate_is_searched_too_and_read_back_unless_it_is_a_program(
    brief: Model, questions: list[Sample], tmp_path: Path
) -> None:
    from shiftlens.steering.gates.texts import PromptSays, When

    gate = PromptSays(("is", "what", "describe"))
    found = _few(brief, questions, gates={"some": gate}, strengths=[1.0], out=tmp_path)
    assert found.chosen.cell is not None
    assert found.chosen.cell.gate == "some"
    assert found.best.gate is gate
    again = Search.load(tmp_path).best
    assert isinstance(again.gate, PromptSays)
    assert again.gate.words == gate.words

    program = When(lambda reading: torch.ones(reading.rows, dtype=torch.bool), "all")
    whole = replace(found, intervention=replace(found.best, gate=program))
    whole.save(tmp_path / "program")
    with pytest.raises(SteeringError, match="cannot be read back whole"):
        _ = Search.load(tmp_path / "program").best


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budgets": ["loss <= .1"]}, "no cost is called 'loss'"),
        ({"budgets": ["long = .1"]}, "cannot be read"),
        ({"objective": "beauty"}, "has no measure 'beauty'"),
        ({"controls": 0}, "0 random controls"),
        ({"n": 0}, "0 samples a cell"),
        ({"task": Silentish()}, "'changed' says nothing about any of 3 samples"),
        ({"task": Changed(fails=True)}, "gave 2 scores 'changed' to 3 samples"),
        ({"layers": [9]}, "layer 9"),
    ],
)
def test_what_cannot_be_is_refused(
    brief: Model, questions: list[Sample], options: dict[str, Any], message: str
) -> None:
    with pytest.raises((SteeringError, IndexError), match=message):
        _few(brief, questions, **options)


def test_where_no_cell_keeps_the_budgets_the_nearest_is_named(
    brief: Model, questions: list[Sample]
) -> None:
    with pytest.raises(SteeringError, match="none of 4 cells keeps the budgets") as caught:
        _few(brief, questions, budgets=["first_token_kl <= -1"])
    assert "first_token_kl <= -1" in str(caught.value)
    assert "the nearest is layer" in str(caught.value)
    assert "add x 0.01" in str(caught.value)
    assert "or raise the budget" in str(caught.value)


def test_one_picture_cannot_be_cut_in_two(brief: Model, questions: list[Sample]) -> None:
    alike = [replace(s, images=questions[0].images) for s in questions]
    with pytest.raises(SteeringError, match="6 samples cannot be cut into two halves"):
        _few(brief, alike)


def test_off_target_data_need_labels_and_names_of_their_own(
    brief: Model, questions: list[Sample]
) -> None:
    samples = Samples(questions)
    with pytest.raises(SteeringError, match="no label 'answer'"):
        _few(brief, questions, off_target=[OffTarget("other", samples)])
    labelled = Samples([replace(s, labels={"answer": "yes"}) for s in questions])
    with pytest.raises(SteeringError, match="the same name"):
        _few(brief, questions, off_target=[OffTarget("a", labelled), OffTarget("a", labelled)])
    with pytest.raises(SteeringError, match="called 'target'"):
        OffTarget("target", labelled)
    with pytest.raises(SteeringError, match="called 'a:b'"):
        OffTarget("a:b", labelled)


def test_a_front_against_anything_that_was_measured(brief: Model, questions: list[Sample]) -> None:
    found = _few(brief, questions)
    assert found.front("first_token_kl")
    assert found.chosen in found.front("dose")
    with pytest.raises(SteeringError, match="no cost is called 'fluency'") as caught:
        found.front("fluency")
    assert "dose, long, first_token_kl, repeats" in str(caught.value)
