"""Where two models part: words and positions by nats an answer."""

from shiftlens.activations.selections.response import EndResponse, LastPrompt, Word
from shiftlens.activations.survey import Answers
from shiftlens.models.model import Response
from shiftlens.study.diff.ranking import END, FIRST, rank

WORDS = ["a", "dog", "cat", "runs", "sits"]


def _decode(ids) -> str:
    return " ".join(WORDS[i] for i in ids)


def _row(ids: list[int], apart: list[float], *, cut: bool = False) -> Answers:
    said = Response(_decode(ids), tuple(ids), truncated=cut)
    return Answers("s", "", "what", {}, said, said, tuple(apart))


def _rank(rows: list[Answers]) -> dict[str, tuple[float, float]]:
    return {one.name: (one.share, one.divergence) for one in rank(rows, _decode)}


def test_a_word_has_the_divergence_of_the_state_that_emits_it() -> None:
    rows = [_row([0, 1, 3], [0.0, 2.0, 0.1, 0.5]), _row([0, 2, 3], [0.0, 0.2, 0.3, 0.7])]
    found = _rank(rows)
    assert found["dog"] == (0.5, 2.0)
    assert found["cat"] == (0.5, 0.2)
    assert found["runs"] == (1.0, 0.2)
    assert found[END] == (1.0, 0.6)
    assert found[FIRST] == (1.0, 0.0)


def test_what_costs_most_nats_an_answer_comes_first() -> None:
    rows = [_row([0, 1, 3], [0.0, 2.0, 0.1, 0.0])] + [_row([0, 2, 3], [0.0, 0.5, 0.1, 0.0])] * 9
    names = [one.name for one in rank(rows, _decode)]
    assert names[0] == "cat"  # .9 of the answers at .5 nats beat .1 at 2
    assert names.index("dog") < names.index("runs")


def test_the_first_word_is_the_first_token_under_another_name() -> None:
    rows = [_row([0, 1], [3.0, 0.0, 0.0])] * 4
    assert "a" not in _rank(rows)
    assert _rank(rows)[FIRST] == (1.0, 3.0)


def test_rare_words_and_ends_that_never_came_are_left_out() -> None:
    rows = [_row([0, 1, 3], [0.0, 9.0, 0.0], cut=True)] + [
        _row([0, 2, 3], [0.0, 0.1, 0.0], cut=True)
    ] * 19
    found = _rank(rows)
    assert "dog" not in found
    assert END not in found


def test_only_the_first_occurrence_counts() -> None:
    rows = [_row([0, 1, 3, 1], [0.0, 1.0, 0.0, 9.0, 0.0])] * 3
    assert _rank(rows)["dog"] == (1.0, 1.0)


def test_every_candidate_names_positions() -> None:
    rows = [_row([0, 1, 3], [0.1, 2.0, 0.1, 0.5])] * 3
    kinds = {one.name: type(one.selection) for one in rank(rows, _decode)}
    assert kinds[FIRST] is LastPrompt
    assert kinds[END] is EndResponse
    assert kinds["dog"] is Word


def test_no_answers_have_no_ranking() -> None:
    assert rank([], _decode) == []
