"""Log probabilities of what was said: those of a teacher-forced pass, alone and in batches."""

import pytest
import torch

from shiftlens.core.errors import DataError
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import encode
from shiftlens.steering.evaluating.perplexity import log_probabilities

SAID = [(5, 9, 12), (), (20,), (7, 7, 7, 7, 7), (31, 8), (11, 12)]


@pytest.fixture
def responses() -> list[Response]:
    return [Response("", ids, truncated=False) for ids in SAID]


@torch.no_grad()
def _by_hand(model: Model, sample: Sample, ids: tuple[int, ...]) -> list[float]:
    """One token after the other, each from the last position of a prompt that holds the others."""
    found: list[float] = []
    tensors = dict(encode(model, [sample]).tensors)
    for token in ids:
        logits = model.hf(**tensors).logits[0, -1].double()
        found.append(float(logits[token] - torch.logsumexp(logits, 0)))
        more = torch.tensor([[token]])
        tensors["input_ids"] = torch.cat([tensors["input_ids"], more], dim=1)
        tensors["attention_mask"] = torch.ones_like(tensors["input_ids"])
        tensors.pop("position_ids", None)
    return found


def test_they_are_those_of_a_pass_by_hand(
    tiny: Model, questions: list[Sample], responses: list[Response]
) -> None:
    found = log_probabilities(tiny, questions, responses)
    for sample, ids, values in zip(questions, SAID, found, strict=True):
        assert values == pytest.approx(_by_hand(tiny, sample, ids), abs=1e-4)
    other = log_probabilities(tiny, questions[::-1], responses)
    assert other[0] != pytest.approx(found[0], abs=1e-3)  # twin: behind another prompt they differ


@pytest.mark.parametrize("batch_size", [1, 4])
def test_batches_do_not_matter(
    tiny: Model, questions: list[Sample], responses: list[Response], batch_size: int
) -> None:
    whole = log_probabilities(tiny, questions, responses)
    parts = log_probabilities(tiny, questions, responses, batch_size=batch_size)
    for one, other in zip(whole, parts, strict=True):
        assert other == pytest.approx(one, abs=1e-4)
    assert [len(one) for one in whole] == [3, 0, 1, 5, 2, 2]


def test_what_a_model_says_by_itself_is_likeliest(tiny: Model, questions: list[Sample]) -> None:
    own = tiny.respond(questions, max_new_tokens=2)
    other = [Response("", (31,) * len(one.token_ids), truncated=True) for one in own]
    likely = log_probabilities(tiny, questions, own)
    firsts = [one[0] for one in log_probabilities(tiny, questions, other) if one]
    assert all(a[0] >= b for a, b in zip((x for x in likely if x), firsts, strict=True))


def test_mistakes_are_named(tiny: Model, questions: list[Sample]) -> None:
    with pytest.raises(DataError, match="1 responses for 6 samples"):
        log_probabilities(tiny, questions, [Response("", (5,), truncated=False)])
    with pytest.raises(DataError, match="a batch of 0"):
        log_probabilities(tiny, [], [], batch_size=0)
