"""Both models' answers, and how far they part on the base's text."""

import math
from pathlib import Path

import pytest
import torch

from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.survey import Survey, divergences, survey
from shiftlens.activations.tokens import end_response, last_prompt
from shiftlens.core.errors import DataError, MismatchError, StoreError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.generation import generate
from shiftlens.models.loading import load_pair
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode

OPTIONS = {"max_new_tokens": 6, "batch_size": 4, "part_size": 3}

Pair = tuple[Model, Model]


@pytest.fixture(scope="module")
def tiny_pair(tiny_path: Path, tiny_adapter_path: Path) -> Pair:
    return load_pair(tiny_path, tiny_adapter_path)


@pytest.fixture
def asked(tiny_pair: Pair, questions: list[Sample], tmp_path: Path) -> Survey:
    return survey(*tiny_pair, Samples(questions), tmp_path / "answers", **OPTIONS)


def test_it_holds_what_both_models_say(
    asked: Survey, tiny_pair: Pair, questions: list[Sample]
) -> None:
    assert [row.sample_id for row in asked.rows] == [one.id for one in questions]
    for name, model in zip(("base", "tuned"), tiny_pair, strict=True):
        alone = [model.respond([one], max_new_tokens=6)[0] for one in questions]
        assert [getattr(row, name) for row in asked.rows] == alone
    assert asked.said("base")["q0"] == asked.rows[0].base


def test_there_is_one_divergence_a_token_and_one_for_the_end(asked: Survey) -> None:
    for row in asked.rows:
        assert len(row.divergence) == len(row.base.token_ids) + (not row.base.truncated)
        assert all(math.isfinite(value) and value >= 0 for value in row.divergence)
    assert max(max(row.divergence) for row in asked.rows) > 1e-4


def test_the_divergence_is_that_of_the_logits(tiny_pair: Pair, questions: list[Sample]) -> None:
    base, tuned = tiny_pair
    inputs = encode(base, questions[:1])
    said = generate(base, inputs, max_new_tokens=4)
    from shiftlens.data.images import open_image
    from shiftlens.models.prompts import Turn

    turn = Turn(questions[0].prompt, (open_image(questions[0].images[0]),))
    found = divergences(base, tuned, [turn], said)[0]
    full = encode(base, questions[:1], response_ids=[said[0].token_ids])
    logits = []
    for model in tiny_pair:
        with model.active(), torch.no_grad():
            logits.append(model.hf(**full.tensors).logits[0, inputs.prompt_width - 1 :])
    p, q = (torch.log_softmax(one.double(), dim=-1) for one in logits)
    expected = (p.exp() * (p - q)).sum(dim=-1)[: len(found)]
    torch.testing.assert_close(torch.tensor(found).double(), expected, atol=1e-5, rtol=1e-3)
    # Twin: a model does not part from itself.
    assert max(divergences(base, base, [turn], said)[0]) < 1e-9


def test_a_survey_goes_on_where_it_stopped(
    asked: Survey, tiny_pair: Pair, questions: list[Sample]
) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in asked.path.glob("*.parquet")}
    (asked.path / "answers-00001.parquet").unlink()
    again = survey(*tiny_pair, Samples(questions), asked.path, **OPTIONS)
    assert again.rows == asked.rows
    after = {file.name: file.stat().st_mtime_ns for file in asked.path.glob("*.parquet")}
    assert after["answers-00000.parquet"] == before["answers-00000.parquet"]


def test_another_survey_in_the_same_place_is_refused(
    asked: Survey, tiny_pair: Pair, questions: list[Sample]
) -> None:
    with pytest.raises(MismatchError, match="another data"):
        survey(*tiny_pair, Samples(questions[:4]), asked.path, **OPTIONS)
    with pytest.raises(StoreError, match="is not the manifest of a store of activations"):
        ActivationStore.open(asked.path)


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(
    tiny_pair: Pair, questions: list[Sample], tmp_path: Path
) -> None:
    lost = Sample("lost", "what", (str(tmp_path / "nowhere.png"),))
    found = survey(*tiny_pair, Samples([lost, *questions[:2]]), tmp_path / "some", **OPTIONS)
    assert [row.sample_id for row in found.rows] == ["q0", "q1"]
    assert found.quarantine[0]["id"] == "lost"
    with pytest.raises(DataError, match="none of 1 samples could be read"):
        survey(*tiny_pair, Samples([lost]), tmp_path / "none", **OPTIONS)


def test_known_answers_see_the_states_of_generated_ones(
    asked: Survey, tiny_pair: Pair, questions: list[Sample], tmp_path: Path
) -> None:
    site, samples = Site(layer=1, tokens=last_prompt()), Samples(questions)
    options = {"response": "base", "max_new_tokens": 6}
    fresh = harvest(list(tiny_pair), samples, site, tmp_path / "fresh", **options)
    known = harvest(
        list(tiny_pair), samples, site, tmp_path / "known", said=asked.said("base"), **options
    )
    for left, right in zip(fresh, known, strict=True):
        torch.testing.assert_close(left.states(), right.states(), atol=1e-4, rtol=1e-4)
        assert left.provenance == right.provenance
    some = {"q0": asked.rows[0].base}
    with pytest.raises(DataError, match="5 samples are not among the known responses"):
        harvest(list(tiny_pair), samples, site, tmp_path / "few", said=some, **options)
    with pytest.raises(DataError, match="known responses cannot be used for 2 models"):
        harvest(
            list(tiny_pair), samples, site, tmp_path / "own", said=asked.said("base"),
            response="own", max_new_tokens=6,
        )  # fmt: skip


def test_the_end_of_an_answer_is_where_its_end_is_emitted(
    brief: Model, questions: list[Sample], tmp_path: Path
) -> None:
    """The first answer ends by itself after four tokens; what the limit cuts off has no end."""
    site = Site(layer=-1, tokens=end_response())
    store = harvest(brief, Samples(questions[:1]), site, tmp_path / "ends", max_new_tokens=8)
    ids = brief.respond(questions[:1], max_new_tokens=8)[0].token_ids
    assert store.rows[0].position == len(ids)
    logits = brief.readout.logits(store.states())[0]
    assert int(logits.argmax()) == brief.tokenizer.eos_token_id
    cut = harvest(
        brief, Samples(questions[:1]), site, tmp_path / "cut", max_new_tokens=2, allow_empty=True
    )
    assert cut.counts == {"matched": 0, "missed": 0, "failed": 1}
