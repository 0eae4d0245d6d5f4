"""Answers, greedy and drawn: the same alone and in a batch, with a cache and without.

None of them ever says a picture.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import EOS, edit_json
from torch import nn

from shiftlens.core.errors import DataError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import Sampled, decode, forward, generate, sample
from shiftlens.models.hooks import record
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs, encode

_LIMIT = 8


@pytest.fixture
def mixed(questions: list[Sample], pictures: list[Path]) -> list[Sample]:
    """Prompts with one picture, with none, and with two, of different lengths."""
    two = (str(pictures[0]), str(pictures[3]))
    return [
        questions[0],
        Sample("blind", "what is the man on ?"),
        Sample("two", "is the dog in the picture ?", two),
        questions[3],
        Sample("blind too", "yes"),
    ]


def _ids(model: Model, samples: list[Sample], **options: Any) -> list[tuple[int, ...]]:
    inputs = encode(model, samples)
    said = generate(model, inputs, max_new_tokens=_LIMIT, **options)
    return [response.token_ids for response in said]


def _alone(model: Model, samples: list[Sample]) -> list[tuple[int, ...]]:
    return [ids for sample in samples for ids in _ids(model, [sample])]


# --- theorem: a batch is its samples


def test_a_batch_is_its_samples_one_by_one(family: Model, questions: list[Sample]) -> None:
    together = _ids(family, questions)
    assert together == _alone(family, questions)
    assert len(set(together)) > 1  # or it would hold for a model that never listens


def test_also_where_only_some_have_pictures(family: Model, mixed: list[Sample]) -> None:
    inputs = encode(family, mixed)
    assert len(set(inputs.tensors["attention_mask"].sum(1).tolist())) == len(mixed)  # all padded
    together = _ids(family, mixed)
    assert together == _alone(family, mixed)
    assert len(set(together)) > 1


def test_also_without_any_picture(family: Model) -> None:
    samples = [Sample(str(at), "what is this " * at + "?") for at in range(4)]
    assert _ids(family, samples) == _alone(family, samples)


def test_also_in_any_order(family: Model, mixed: list[Sample]) -> None:
    assert _ids(family, mixed[::-1]) == _ids(family, mixed)[::-1]


def test_also_for_bytes_of_any_script(byte_model: Model, pictures: list[Path]) -> None:
    prompts = ("Was ist das?", "这是什么？", "что", "🙂 ok")
    samples = [Sample(p, p, (str(pictures[at]),)) for at, p in enumerate(prompts)]
    assert _ids(byte_model, samples) == _alone(byte_model, samples)


def test_also_for_both_models_of_a_pair(base: Model, tuned: Model, questions: list[Sample]) -> None:
    said = {model.label: _ids(model, questions) for model in (base, tuned, base)}
    for model in (tuned, base):
        assert said[model.label] == _alone(model, questions)


def test_twin_padding_that_is_not_masked_is_heard(tiny: Model, mixed: list[Sample]) -> None:
    inputs = encode(tiny, mixed)
    mask = torch.ones_like(inputs.tensors["attention_mask"])
    heard = replace(inputs, tensors=inputs.tensors | {"attention_mask": mask})
    said = [one.token_ids for one in generate(tiny, heard, max_new_tokens=_LIMIT)]
    assert said != _alone(tiny, mixed)


def test_twin_padding_on_the_right_is_heard(tiny: Model, mixed: list[Sample]) -> None:
    inputs = encode(tiny, mixed)
    tensors = dict(inputs.tensors)
    padded = (tensors["attention_mask"] == 0).sum(1).tolist()
    for key, value in inputs.tensors.items():
        if value.shape == tensors["input_ids"].shape:
            rows = [row.roll(-n) for row, n in zip(value, padded, strict=True)]
            tensors[key] = torch.stack(rows)
    said = generate(tiny, replace(inputs, tensors=tensors), max_new_tokens=_LIMIT)
    assert [one.token_ids for one in said] != _alone(tiny, mixed)


def test_a_cache_changes_nothing(family: Model, mixed: list[Sample]) -> None:
    assert _ids(family, mixed, use_cache=False) == _ids(family, mixed)


# --- theorem: the teacher-forced pass sees the states of generation


def _states_while_saying(model: Model, inputs: Inputs) -> tuple[torch.Tensor, list[Any]]:
    """States (b, t, d) at the positions that emit tokens, and what was said."""
    with record(model, [1], keep=lambda state: state[:, -1]) as seen:
        said = generate(model, inputs, max_new_tokens=_LIMIT)
    return torch.stack(seen.states[1], dim=1), said


def test_reading_a_response_is_having_said_it(family: Model, mixed: list[Sample]) -> None:
    spoken, said = _states_while_saying(family, encode(family, mixed))
    read = _states_while_reading(family, mixed, [list(one.token_ids) for one in said])
    for row, one in enumerate(said):
        n = min(len(one.token_ids), spoken.shape[1])
        assert read[row, :n].allclose(spoken[row, :n], atol=1e-3)


def test_twin_reading_another_response_is_not(tiny: Model, mixed: list[Sample]) -> None:
    spoken, said = _states_while_saying(tiny, encode(tiny, mixed))
    read = _states_while_reading(tiny, mixed, [list(one.token_ids[::-1]) for one in said])
    assert not read[0, : len(said[0].token_ids)].allclose(
        spoken[0, : len(said[0].token_ids)], atol=1e-3
    )


def _states_while_reading(
    model: Model, samples: list[Sample], responses: list[list[int]]
) -> torch.Tensor:
    inputs = encode(model, samples, response_ids=responses)
    with record(model, [1]) as seen:
        forward(model, inputs)
    return seen.states[1][0][:, inputs.prompt_width - 1 :]


def test_forward_gives_the_last_logits_alone(family: Model, mixed: list[Sample]) -> None:
    output = forward(family, encode(family, mixed))
    assert output.logits.shape[:2] == (5, 1)
    assert output.past_key_values is None
    assert not output.logits.requires_grad


# --- ends


def test_a_response_ends_before_its_end(brief: Model, questions: list[Sample]) -> None:
    said = generate(brief, encode(brief, questions), max_new_tokens=6)
    assert (len(said[0].token_ids), said[0].truncated) == (4, False)
    assert any(one.truncated for one in said)
    for one in said:
        assert EOS not in one.token_ids
        assert one.truncated == (len(one.token_ids) == 6)


def test_the_limit_may_be_the_end(brief: Model, questions: list[Sample]) -> None:
    """Four tokens and the end: five steps end by themselves, four are cut."""
    for limit, truncated in ((5, False), (4, True)):
        (one,) = generate(brief, encode(brief, questions[:1]), max_new_tokens=limit)
        assert (len(one.token_ids), one.truncated) == (4, truncated)


def test_every_end_of_a_list_ends(copied: Path, tiny: Model, questions: list[Sample]) -> None:
    (first,) = _ids(tiny, questions[:1])
    edit_json(copied / "generation_config.json", eos_token_id=[EOS, first[2]])
    (said,) = generate(load_model(copied), encode(tiny, questions[:1]), max_new_tokens=_LIMIT)
    cut = first.index(first[2])
    assert (said.token_ids, said.truncated) == (first[:cut], False)


def test_settings_without_an_end_take_the_tokenizers(
    copied: Path, tiny: Model, questions: list[Sample]
) -> None:
    model = load_model(copied)
    model.hf.generation_config.eos_token_id = None
    model.hf.generation_config.pad_token_id = None
    assert _ids(model, questions) == _ids(tiny, questions)


@pytest.mark.parametrize("limit", [0, -3])
def test_no_tokens_are_not_an_answer(tiny: Model, questions: list[Sample], limit: int) -> None:
    with pytest.raises(DataError, match=f"cannot generate {limit} tokens"):
        generate(tiny, encode(tiny, questions[:1]), max_new_tokens=limit)


def test_what_was_answered_is_not_answered_again(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:1], response_ids=[[5, 6]])
    with pytest.raises(DataError, match="hold responses already") as caught:
        generate(tiny, inputs, max_new_tokens=2)
    assert "without response_ids" in caught.value.remedy


# --- greedy, whatever the model's files say

_SAMPLING: dict[str, Any] = {
    "do_sample": True,
    "temperature": 5.0,
    "top_k": 3,
    "repetition_penalty": 9.0,
    "no_repeat_ngram_size": 1,
    "min_length": 30,
    "num_beams": 3,
}


@pytest.fixture
def sampling(tiny: Model) -> Iterator[Model]:
    """The tiny model with settings that change every answer."""
    settings = tiny.hf.generation_config
    before = {name: getattr(settings, name) for name in _SAMPLING}
    for name, value in _SAMPLING.items():
        setattr(settings, name, value)
    yield tiny
    for name, value in before.items():
        setattr(settings, name, value)


def test_settings_of_sampling_are_not_followed(
    sampling: Model, copied: Path, questions: list[Sample]
) -> None:
    before = sampling.hf.generation_config.to_dict()
    assert _ids(sampling, questions) == _ids(load_model(copied), questions)
    assert sampling.hf.generation_config.to_dict() == before


def test_twin_transformers_alone_follows_them(
    sampling: Model, copied: Path, questions: list[Sample]
) -> None:
    inputs = encode(sampling, questions)
    torch.manual_seed(0)
    raw = sampling.hf.generate(**inputs.tensors, max_new_tokens=_LIMIT)[:, inputs.prompt_width :]
    plain = _ids(load_model(copied), questions)
    assert [tuple(row[: len(ids)]) for row, ids in zip(raw.tolist(), plain, strict=True)] != plain


def _prefer(head: nn.Module, token: int) -> Any:
    """A hook that makes one token the likeliest everywhere."""

    def hook(_head: nn.Module, _args: Any, logits: torch.Tensor) -> torch.Tensor:
        changed = logits.clone()
        changed[..., token] = 1e4
        return changed

    return head.register_forward_hook(hook)


def test_placeholders_are_never_said(family: Model, questions: list[Sample]) -> None:
    from shiftlens.models.processing.placeholders import placeholder_tokens

    tokens = placeholder_tokens(family.hf, family.processor)
    assert tokens
    for token in tokens:
        handle = _prefer(family.address.head(family.hf), token)
        try:
            said = _ids(family, questions[:2])
        finally:
            handle.remove()
        assert all(token not in ids for ids in said)


def test_twin_another_preferred_token_is_said(family: Model, questions: list[Sample]) -> None:
    handle = _prefer(family.address.head(family.hf), 10)
    try:
        assert _ids(family, questions[:2]) == [(10,) * _LIMIT] * 2
    finally:
        handle.remove()


def test_what_the_model_suppresses_stays_suppressed(
    copied: Path, tiny: Model, questions: list[Sample]
) -> None:
    (first,) = _ids(tiny, questions[:1])
    edit_json(copied / "generation_config.json", suppress_tokens=[first[0]])
    (said,) = _ids(load_model(copied), questions[:1])
    assert first[0] not in said


def test_decoding_leaves_out_special_tokens_only(tiny: Model, byte_model: Model) -> None:
    words = tiny.tokenizer("the dog .", add_special_tokens=False)["input_ids"]
    assert decode(tiny, [1, *words, EOS, 0]) == "the dog ."
    text = "  zwei  Leerzeichen , 火 ! "
    ids = byte_model.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert decode(byte_model, ids) == text
    assert decode(tiny, ()) == ""


# --- drawn answers


def _drawn(model: Model, samples: list[Sample], **options: Any) -> list[Sampled]:
    options = {"max_new_tokens": _LIMIT, "seeds": range(len(samples)), **options}
    return sample(model, encode(model, samples), **options)


def _first_token_shares(model: Model, temperature: float, n: int = 3000) -> torch.Tensor:
    """How often each token begins the answer to one question, over many draws."""
    one, counts = [Sample("blind", "what is the man on ?")] * 500, torch.zeros(64)
    for start in range(0, n, len(one)):
        seeds = range(start, start + len(one))
        for said in _drawn(model, one, seeds=seeds, max_new_tokens=1, temperature=temperature):
            token = said.end if said.end is not None else said.token_ids[0]
            counts[token] += 1
    return counts / n


def _furthest(model: Model, shares: torch.Tensor, n: int = 3000) -> float:
    """The largest distance from the model's own probabilities, in standard errors."""
    from shiftlens.models.processing.placeholders import placeholder_tokens

    logits = forward(model, encode(model, [Sample("blind", "what is the man on ?")])).logits[0, -1]
    logits[list(placeholder_tokens(model.hf, model.processor))] = -torch.inf
    own = logits.softmax(-1)
    error = (own * (1 - own) / n).sqrt().clamp_min(1 / n)
    return float(((shares[: len(own)] - own).abs() / error).max())


def test_draws_are_as_frequent_as_the_model_says(family: Model) -> None:
    assert _furthest(family, _first_token_shares(family, 1.0)) < 4.5


def test_twin_draws_at_another_temperature_are_not(tiny: Model) -> None:
    assert _furthest(tiny, _first_token_shares(tiny, 2.0)) > 10


def test_a_draw_depends_on_its_seed_and_not_on_its_neighbours(
    family: Model, mixed: list[Sample]
) -> None:
    together = _drawn(family, mixed)
    alone = [_drawn(family, [one], seeds=[seed])[0] for seed, one in enumerate(mixed)]
    assert together == alone
    assert _drawn(family, mixed) == together
    others = _drawn(family, mixed, seeds=range(10, 15))
    assert [one.token_ids for one in others] != [one.token_ids for one in together]


def test_drawing_leaves_the_random_state_of_torch_alone(
    tiny: Model, questions: list[Sample]
) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    said = _drawn(tiny, questions)
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(2)
    assert _drawn(tiny, questions) == said


def test_a_cold_draw_is_the_greedy_answer(tiny: Model, questions: list[Sample]) -> None:
    cold = [one.token_ids for one in _drawn(tiny, questions, temperature=1e-4)]
    assert cold == _ids(tiny, questions)


def test_a_draw_tells_which_end_it_said(copied: Path, questions: list[Sample]) -> None:
    edit_json(copied / "generation_config.json", eos_token_id=[EOS, 10])
    model = load_model(copied)
    for end in (EOS, 10):
        handle = _prefer(model.address.head(model.hf), end)
        try:
            said = _drawn(model, questions[:2])
        finally:
            handle.remove()
        assert [(one.token_ids, one.end, one.truncated) for one in said] == [((), end, False)] * 2


def test_a_cut_draw_has_no_end(tiny: Model, questions: list[Sample]) -> None:
    said = _drawn(tiny, questions, max_new_tokens=2, temperature=1e-4)
    assert all(one.truncated and one.end is None and len(one.token_ids) == 2 for one in said)


def test_placeholders_are_never_drawn(family: Model, questions: list[Sample]) -> None:
    from shiftlens.models.processing.placeholders import placeholder_tokens

    for token in placeholder_tokens(family.hf, family.processor):
        handle = _prefer(family.address.head(family.hf), token)
        try:
            said = _drawn(family, questions[:2])
        finally:
            handle.remove()
        assert all(token not in one.token_ids for one in said)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": [1, 2]}, "2 seeds for 1 rows"),
        ({"temperature": 0.0}, "a temperature of 0.0"),
        ({"temperature": float("nan")}, "a temperature of nan"),
        ({"max_new_tokens": 0}, "cannot generate 0 tokens"),
    ],
)
def test_impossible_draws(
    tiny: Model, questions: list[Sample], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        _drawn(tiny, questions[:1], **options)


def test_what_was_answered_is_not_drawn_again(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:1], response_ids=[[5, 6]])
    with pytest.raises(DataError, match="hold responses already"):
        sample(tiny, inputs, seeds=[0], max_new_tokens=2)
