"""Does a changed concept show? Counted inside against outside, and undone by subtraction."""

import pytest
from tests.builders import build_vector

from shiftlens.activations.survey import Answers
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model, Response
from shiftlens.study.diff.visible import MORE, NOTHING, RESTORED, UNTRIED, likeness, look


def _said(text: str) -> Response:
    return Response(text, (), truncated=False)


def _rows(n: int, changed: int, *, name: str = "s") -> list[tuple[Sample, Answers]]:
    return [
        (
            Sample(f"{name}{i}", "what is this ?"),
            Answers(
                f"{name}{i}", "", "what is this ?", {}, _said("a dog"),
                _said("a cat" if i < changed else "a dog"), (0.0,),
            ),
        )
        for i in range(n)
    ]  # fmt: skip


def _outside(n: int, changed: int) -> list[Answers]:
    return [row for _, row in _rows(n, changed, name="o")]


def test_texts_are_compared_word_by_word() -> None:
    assert likeness("a red dog", "a red dog") == 1.0
    assert likeness("a red dog", "a  red dog ") == 1.0
    assert likeness("a red dog", "two cats") == 0.0
    assert likeness("a red dog", "a dog") == pytest.approx(0.8)


def test_more_changes_inside_are_visible(tiny: Model) -> None:
    found = look(tiny, _rows(40, 30), _outside(80, 10), None)
    assert found.effect == MORE
    assert found.difference is not None
    assert found.difference.estimate == pytest.approx(0.625)
    assert found.n_steered == 0
    assert found.restored is None


def test_as_many_changes_inside_as_outside_are_not(tiny: Model) -> None:
    found = look(tiny, _rows(40, 10), _outside(80, 20), None)
    assert found.effect == UNTRIED
    assert found.difference is not None
    assert found.difference.low < 0 < found.difference.high


def test_few_answers_say_nothing(tiny: Model) -> None:
    found = look(tiny, _rows(5, 5), _outside(80, 0), None)
    assert found.effect == UNTRIED
    assert found.difference is None
    empty = look(tiny, [], [], None)
    assert empty.to_dict()["inside"] is None


def test_a_direction_of_no_consequence_restores_nothing(
    tiny: Model,
) -> None:
    """A vector as short as rounding changes no answer, and so does none of the random ones."""
    vector = build_vector(tiny.address.d, length=1e-6)
    rows = _rows(12, 12)
    said = tiny.respond([sample for sample, _ in rows], max_new_tokens=4)
    mine = [
        (sample, Answers(row.sample_id, "", row.prompt, {}, _said("a dog"), one, (0.0,)))
        for (sample, row), one in zip(rows, said, strict=True)
    ]
    found = look(tiny, mine, _outside(20, 20), vector, max_new_tokens=4)
    assert found.n_steered == 12
    assert found.restored is not None
    assert found.restored.estimate == 0.0
    assert found.restored_minus_random is not None
    assert found.effect == NOTHING


def test_subtracting_what_was_added_restores_the_answers(tiny: Model) -> None:
    """Tuned is the tiny model steered by a large vector; without it the base answers."""
    from shiftlens.steering.applying import steer

    vector = build_vector(tiny.address.d, layer=2, length=40.0)
    prompts = ["describe the picture .", "what is this ?", "is the dog in the picture ?", "what"]
    samples = [Sample(f"s{i}", prompts[i % 4] + " what" * (i // 4)) for i in range(32)]
    base = tiny.respond(samples, max_new_tokens=4)
    with steer(tiny, vector):
        tuned = tiny.respond(samples, max_new_tokens=4)
    rows = [
        (sample, Answers(sample.id, "", sample.prompt, {}, a, b, (0.0,)))
        for sample, a, b in zip(samples, base, tuned, strict=True)
        if a.text != b.text
    ]
    assert len(rows) >= 10
    with steer(tiny, vector):
        found = look(tiny, rows, _outside(20, 0), vector, max_new_tokens=4)
    assert found.effect == RESTORED
    assert found.whole is not None
    assert found.whole.estimate == 1.0
