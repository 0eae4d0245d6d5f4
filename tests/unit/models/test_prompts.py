"""From samples to inputs: every template, every mixture of pictures, padding on the left."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.builders import BOS, PAD, build_llava, template

from shiftlens.core.errors import DataError
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import picture_token
from shiftlens.models.processing.processors import PLAIN
from shiftlens.models.processing.templates import render
from shiftlens.models.prompts import Turn, encode, encode_turns

_STRING = "{% for message in messages %}USER: {{ message['content'] }} {% endfor %}ASSISTANT:"
_FUSSY = (
    "{% for message in messages %}{% if message['content'] is not string %}"
    "{{ raise_exception('strings only') }}{% endif %}{{ message['content'] }}{% endfor %}"
)
_BOS = "{{ bos_token }}" + template("<image>")


@pytest.fixture
def templated(tiny: Model) -> Iterator[Model]:
    """The tiny model, whose template a test may change."""
    owners = (tiny.processor, tiny.tokenizer)
    before = [owner.chat_template for owner in owners]
    tiny.tokenizer.chat_template = None
    yield tiny
    for owner, text in zip(owners, before, strict=True):
        owner.chat_template = text


def _sample(pictures: list[Path], n: int, prompt: str = "what is this ?") -> Sample:
    return Sample(f"{n} {prompt}", prompt, tuple(str(path) for path in pictures[:n]))


# --- templates


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_template_of_parts(tiny: Model, n: int) -> None:
    assert render(tiny, "what ?", n) == f"user : {'<image> ' * n}what ? assistant :"


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("text", [_STRING, _FUSSY], ids=["prints the list", "raises"])
def test_a_template_of_strings(templated: Model, text: str, n: int) -> None:
    """It cannot place pictures: their placeholders go before the prompt, on a line of their own."""
    templated.processor.chat_template = text
    expected = f"{'<image>' * n}\nwhat ?" if n else "what ?"
    shown = render(templated, "what ?", n)
    assert shown == (f"USER: {expected} ASSISTANT:" if text == _STRING else expected)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_plain_text_is_the_pictures_and_the_prompt(templated: Model, n: int) -> None:
    templated.processor.chat_template = PLAIN
    assert render(templated, "what ?", n) == "<image>" * n + "what ?"


def test_a_model_without_a_template_is_not_asked_by_guess(templated: Model) -> None:
    """A chat model that lost its file would answer, and badly: it is said what to do instead."""
    templated.processor.chat_template = None
    with pytest.raises(DataError, match="has no chat template") as caught:
        render(templated, "what ?", 0)
    assert 'template="plain"' in caught.value.remedy


def test_a_family_that_continues_text_needs_no_template(
    templated: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    templated.processor.chat_template = None
    monkeypatch.setattr(templated.hf.config, "model_type", "blip-2")
    assert render(templated, "what ?", 1) == "<image>what ?"
    with pytest.raises(DataError, match="no place for a system prompt"):
        render(templated, "what ?", 1, "be brief")


def test_a_system_prompt_comes_first(tiny: Model) -> None:
    assert render(tiny, "what ?", 1, "be brief") == (
        "system : be brief user : <image> what ? assistant :"
    )


def test_a_system_prompt_that_is_dropped_is_refused(templated: Model) -> None:
    templated.processor.chat_template = (
        "{% for m in messages if m['role'] == 'user' %}{% for part in m['content'] %}"
        "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endfor %}"
    )
    assert render(templated, "what ?", 1) == "<image>what ?"
    with pytest.raises(DataError, match="has no place for a system prompt"):
        render(templated, "what ?", 1, "be brief")
    with pytest.raises(DataError, match="system prompt 'an <image>' contains"):
        render(templated, "what ?", 1, "an <image>")


def test_the_tokenizers_template_serves(templated: Model) -> None:
    templated.processor.chat_template = None
    templated.tokenizer.chat_template = template("<image>").replace("assistant", "person")
    assert render(templated, "what ?", 1) == "user : <image> what ? person :"


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("nothing but this", 0),
        ("{% for m in messages %}<image> <image> {{ m['content'][-1]['text'] }}{% endfor %}", 1),
        ("{% for m in messages %}<image>{{ m['content'] }}{% endfor %}", 0),
        ("{% for m in messages %}{{ m['content'] | upper }}{% endfor %}", 0),
        ("{{ raise_exception('never') }}", 1),
    ],
    ids=["drops the prompt", "two for one", "one for none", "shouts", "always raises"],
)
def test_a_template_that_cannot_hold_the_prompt_is_refused(
    templated: Model, text: str, n: int
) -> None:
    templated.processor.chat_template = text
    with pytest.raises(DataError, match=rf"cannot hold {n} picture\(s\) and a prompt") as caught:
        render(templated, "what ?", n)
    assert templated.name in caught.value.given
    assert "chat_template.jinja" in caught.value.remedy


@pytest.mark.parametrize(
    "prompt",
    [
        "{{ 7 * 7 }}",
        "{% raw %}",
        "",
        "two\nlines",
        "say 'type' : \"image\"",
        "<b>&amp;",
        "  wide  ",
    ],
)
def test_any_prompt_is_shown_as_it_is(tiny: Model, prompt: str) -> None:
    assert prompt.strip() in render(tiny, prompt, 1)
    assert render(tiny, prompt, 1).count("<image>") == 1


def test_a_prompt_with_a_placeholder_is_refused(family: Model) -> None:
    mark = family.processor.image_token
    with pytest.raises(DataError, match="contains the model's placeholder") as caught:
        render(family, f"what is {mark} ?", 0)
    assert "leave the placeholder out" in caught.value.remedy


# --- what becomes of pictures


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_every_picture_has_its_tokens(tiny: Model, pictures: list[Path], n: int) -> None:
    tensors = encode(tiny, [_sample(pictures, n)]).tensors
    assert int((tensors["input_ids"] == 4).sum()) == 9 * n
    assert ("pixel_values" in tensors) == (n > 0)
    if n:
        assert tensors["pixel_values"].shape == (n, 3, 24, 24)


def test_placeholders_are_as_many_as_picture_features(family: Model, pictures: list[Path]) -> None:
    """One more or less of them, and the model itself refuses."""
    inputs = encode(family, [_sample(pictures, 2), _sample(pictures, 0), _sample(pictures, 1)])
    token = picture_token(family.hf, family.processor)
    counts = (inputs.tensors["input_ids"] == token).sum(1).tolist()
    assert counts[1] == 0
    assert counts[0] > counts[2] > 0
    assert forward(family, inputs).logits.isfinite().all()
    at = (inputs.tensors["input_ids"] == token).nonzero()[0]
    inputs.tensors["input_ids"][at[0], at[1]] = 10
    with pytest.raises((ValueError, RuntimeError)):
        forward(family, inputs)


def test_each_row_sees_its_own_pictures(family: Model, pictures: list[Path]) -> None:
    """Rows without pictures in between move nobody's picture."""
    one, none = _sample(pictures[2:], 1), _sample(pictures, 0)
    two = _sample(pictures, 2, "describe this .")
    together = forward(family, encode(family, [none, two, none, one])).logits
    for row, sample in ((1, two), (3, one)):
        alone = forward(family, encode(family, [sample])).logits[0]
        assert together[row].allclose(alone, atol=1e-3)
        swapped = Sample("x", sample.prompt, sample.images[::-1])
        if len(sample.images) > 1:
            other = forward(family, encode(family, [swapped])).logits[0]
            assert not together[row].allclose(other, atol=1e-3)


def test_open_pictures_are_the_same_as_paths(tiny: Model, pictures: list[Path]) -> None:
    sample = _sample(pictures, 2)
    turn = Turn(sample.prompt, tuple(open_image(ref) for ref in sample.images))
    ours, theirs = encode(tiny, [sample]).tensors, encode_turns(tiny, [turn]).tensors
    assert ours.keys() == theirs.keys()
    assert all(ours[key].equal(theirs[key]) for key in ours)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_pictures_of_any_mode(tiny: Model, tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (30, 20), "red").convert(mode).save(tmp_path / "picture.png")
    sample = Sample("a", "what ?", (str(tmp_path / "picture.png"),))
    assert encode(tiny, [sample]).tensors["pixel_values"].shape == (1, 3, 24, 24)


def test_a_picture_that_is_not_there_is_named(tiny: Model) -> None:
    with pytest.raises(DataError, match=r"nowhere\.png does not exist"):
        encode(tiny, [Sample("a", "what ?", ("nowhere.png",))])


# --- layout


def test_prompts_are_padded_on_the_left(family: Model, pictures: list[Path]) -> None:
    samples = [_sample(pictures, 0, "yes"), _sample(pictures, 1)]
    inputs = encode(family, samples)
    ids, mask = inputs.tensors["input_ids"], inputs.tensors["attention_mask"]
    assert inputs.prompt_width == ids.shape[1]
    assert len(inputs) == 2
    assert inputs.response_lengths == ()
    for row, sample in enumerate(samples):
        alone = encode(family, [sample]).tensors["input_ids"][0]
        width = len(alone)
        assert ids[row, -width:].equal(alone)
        assert ids[row, :-width].eq(PAD).all()
        assert mask[row].tolist() == [0] * (ids.shape[1] - width) + [1] * width


def test_positions_begin_with_the_first_real_token(tiny: Model, pictures: list[Path]) -> None:
    inputs = encode(tiny, [_sample(pictures, 0, "yes"), _sample(pictures, 1)])
    positions, mask = inputs.tensors["position_ids"], inputs.tensors["attention_mask"].bool()
    for row in range(2):
        n = int(mask[row].sum())
        assert positions[row][mask[row]].tolist() == list(range(n))
        assert positions[row][~mask[row]].eq(0).all()


def test_a_family_that_counts_for_itself_is_left_to(families: dict[str, Model]) -> None:
    samples = [Sample("a", "what ?"), Sample("b", "yes")]
    given = {name: "position_ids" in encode(m, samples).tensors for name, m in families.items()}
    assert given == {"llava": True, "idefics3": True, "qwen2_vl": False}


@pytest.mark.parametrize("text", [template("<image>"), _BOS], ids=["tokenizer's", "template's"])
@pytest.mark.parametrize("n", [0, 1])
def test_the_first_token_comes_once(
    templated: Model, pictures: list[Path], text: str, n: int
) -> None:
    templated.processor.chat_template = text
    ids = encode(templated, [_sample(pictures, n)]).tensors["input_ids"][0]
    assert ids[0] == BOS
    assert int((ids == BOS).sum()) == 1


def test_the_tokenizer_keeps_its_own_side(tiny: Model, questions: list[Sample]) -> None:
    before = tiny.tokenizer.padding_side
    for side in ("right", "left"):
        tiny.tokenizer.padding_side = side
        try:
            assert encode(tiny, questions).tensors["attention_mask"][:, -1].all()
            assert tiny.tokenizer.padding_side == side
        finally:
            tiny.tokenizer.padding_side = before


def test_numbers_have_the_models_type(tiny_path: Path, pictures: list[Path]) -> None:
    model = load_model(tiny_path, dtype="bfloat16")
    tensors = encode(model, [_sample(pictures, 1)]).tensors
    assert tensors["pixel_values"].dtype == torch.bfloat16
    assert tensors["input_ids"].dtype == torch.long
    assert forward(model, encode(model, [_sample(pictures, 1)])).logits.dtype == torch.bfloat16


def test_every_script_reaches_a_byte_model(byte_model: Model) -> None:
    for prompt in ("Was ist das?", "这是什么？", "что это", "🙂"):
        ids = encode(byte_model, [Sample("a", prompt)]).tensors["input_ids"][0]
        assert prompt in byte_model.tokenizer.decode(ids)


def test_a_model_without_a_chat_template_can_be_asked(tmp_path: Path, pictures: list[Path]) -> None:
    model = load_model(build_llava(tmp_path / "bare", chat_template=None), template="plain")
    ids = encode(model, [_sample(pictures, 1)]).tensors["input_ids"][0]
    words = model.tokenizer("what is this ?", add_special_tokens=False)["input_ids"]
    assert ids.tolist() == [BOS, *[4] * 9, *words]


# --- responses


def test_responses_follow_in_columns_of_their_own(family: Model, questions: list[Sample]) -> None:
    responses = [[10, 11, 12], [], [13]]
    plain = encode(family, questions[:3])
    inputs = encode(family, questions[:3], response_ids=responses)
    width = plain.prompt_width
    assert (inputs.prompt_width, inputs.response_lengths) == (width, (3, 0, 1))
    ids, mask = inputs.tensors["input_ids"], inputs.tensors["attention_mask"]
    assert ids[:, :width].equal(plain.tensors["input_ids"])
    assert ids[:, width:].tolist() == [[10, 11, 12], [PAD] * 3, [13, PAD, PAD]]
    assert mask[:, :width].equal(plain.tensors["attention_mask"])
    assert mask[:, width:].tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]
    for key, value in inputs.tensors.items():
        if plain.tensors[key].shape == (3, width):
            assert value.shape == ids.shape, key
        else:
            assert value.equal(plain.tensors[key]), key


def test_positions_go_on_through_a_response(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:2], response_ids=[[10, 11], [12]])
    for row, extra in enumerate((2, 1)):
        mask = inputs.tensors["attention_mask"][row].bool()
        positions = inputs.tensors["position_ids"][row][mask].tolist()
        assert positions == list(range(int(mask.sum())))
        assert positions[-1] == int(mask[: inputs.prompt_width].sum()) + extra - 1


def test_padding_after_a_response_is_not_heard(family: Model, questions: list[Sample]) -> None:
    from shiftlens.models.hooks import record

    def states(responses: list[list[int]], samples: list[Sample]) -> torch.Tensor:
        inputs = encode(family, samples, response_ids=responses)
        with record(family, [-1]) as seen:
            forward(family, inputs)
        return seen.states[3][0][0, inputs.prompt_width - 1 : inputs.prompt_width + 2]

    alone = states([[10, 11]], questions[:1])
    padded = states([[10, 11], [12] * 6], questions[:2])
    assert padded.allclose(alone, atol=1e-3)
    assert not states([[11, 10], [12] * 6], questions[:2]).allclose(alone, atol=1e-3)


def test_only_empty_responses(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:2], response_ids=[[], []])
    assert inputs.tensors["input_ids"].shape[1] == inputs.prompt_width
    assert inputs.response_lengths == (0, 0)


def test_a_response_with_a_placeholder_is_refused(family: Model, questions: list[Sample]) -> None:
    token = picture_token(family.hf, family.processor)
    assert token is not None
    with pytest.raises(DataError, match="response 1 contains the model's placeholder"):
        encode(family, questions[:2], response_ids=[[10], [10, token]])


@pytest.mark.parametrize("responses", [[], [[10]], [[10]] * 3])
def test_as_many_responses_as_samples(
    tiny: Model, questions: list[Sample], responses: list[Any]
) -> None:
    with pytest.raises(DataError, match=f"{len(responses)} responses for 2 samples"):
        encode(tiny, questions[:2], response_ids=responses)


def test_nothing_to_encode(tiny: Model) -> None:
    with pytest.raises(DataError, match="no samples to encode"):
        encode(tiny, [])
