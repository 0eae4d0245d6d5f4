"""Positions at which a word has been read, of one token or of several, in prompt and response."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_qwen2_vl, build_vector
from tests.watching import Seen, watch

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import decode
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import placeholder_tokens
from shiftlens.models.prompts import encode
from shiftlens.steering.applying import Intervention, steer
from shiftlens.steering.gates import When
from shiftlens.steering.responding import steer_responses
from shiftlens.steering.scopes import Scope, Words, read_scope, words

NEW = 6


def _see(
    model: Model, samples: list[Sample], scope: str | Scope, *, length: float = 6.0, **more: Any
) -> Seen:
    """Both with a cache and without, which must agree."""
    options: dict[str, Any] = {"max_new_tokens": NEW, **more}
    vector, steering = build_vector(length=length), {"scope": scope}
    seen = watch(model, samples, vector, steering=steering, **options)
    other = watch(model, samples, vector, steering=steering, use_cache=False, **options)
    assert seen.ids.equal(other.ids)
    assert seen.changed.equal(other.changed)
    assert seen.told() == other.told() == seen.places()
    assert seen.one.selected == other.one.selected == seen.one.tokens == other.one.tokens
    assert seen.one.dose == pytest.approx(other.one.dose, rel=1e-3)
    return seen


def _by_hand(model: Model, seen: Seen, word: str, where: str) -> torch.Tensor:
    """Where a word that is one token stands; of the response only what was fed back."""
    (token,) = model.tokenizer.encode(word, add_special_tokens=False)
    flags = seen.ids[:, : seen.changed.shape[1]] == token
    if where == "prompt":
        flags[:, seen.width :] = False
    elif where == "response":
        flags[:, : seen.width] = False
    return flags


@pytest.fixture
def spoken(tiny: Model, questions: list[Sample]) -> str:
    """A word that some responses say, and not as their last token."""
    with steer(tiny, build_vector(), scope="last_prompt"):
        said = tiny.respond(questions, max_new_tokens=NEW - 1)
    counts = [word for one in said for word in one.text.split() if word.isalpha()]
    return max(sorted(set(counts)), key=counts.count)


@pytest.mark.parametrize("where", ["prompt", "both"])
@pytest.mark.parametrize("word", ["picture", "dog", "DOG", "the"])
def test_a_word_of_the_prompt(tiny: Model, questions: list[Sample], word: str, where: str) -> None:
    seen = _see(tiny, questions, Words((word,), where))
    assert seen.changed.equal(_by_hand(tiny, seen, word, where))
    assert seen.changed.any()


def test_a_word_of_the_response(tiny: Model, questions: list[Sample], spoken: str) -> None:
    seen = _see(tiny, questions, words(spoken, where="response"))
    assert seen.changed.equal(_by_hand(tiny, seen, spoken, "response"))
    assert all(first > 0 for _, _, first, _ in seen.told()), "position 1 is the first said"


def test_a_word_of_both_and_several_words(
    tiny: Model, questions: list[Sample], spoken: str
) -> None:
    seen = _see(tiny, questions, f"words:picture,{spoken}")
    expected = _by_hand(tiny, seen, "picture", "both") | _by_hand(tiny, seen, spoken, "both")
    assert seen.changed.equal(expected)
    assert seen.changed[:, seen.width :].any()
    assert seen.one.scope == f"words:picture,{spoken}"


def test_padding_and_neighbours_move_nothing(tiny: Model, questions: list[Sample]) -> None:
    scope = "words@prompt:picture"
    together = watch(tiny, questions, build_vector(), steering={"scope": scope})
    assert not encode(tiny, questions).tensors["attention_mask"].all()
    for number, sample in enumerate(questions):
        if "picture" in sample.prompt.split():
            alone = watch(tiny, [sample], build_vector(), steering={"scope": scope})
            told = [place[1:] for place in together.told() if place[0] == number]
            assert told == [alone.told()[0][1:]]


def test_a_word_of_one_batch_is_enough_and_of_none_is_not(
    tiny: Model, questions: list[Sample]
) -> None:
    one = Intervention(build_vector(), scope="words@prompt:beach")
    _, receipt = steer_responses(tiny, questions, [one], max_new_tokens=2, batch_size=2)
    assert [place.sample for place in receipt.vectors[0].places] == [3]
    none = Intervention(build_vector(), scope="words@prompt:skier")
    with pytest.raises(SteeringError, match="'words@prompt:skier' selected no position"):
        steer_responses(tiny, questions, [none], max_new_tokens=2, batch_size=2)


def test_the_pictures_placeholder_is_no_word(tiny: Model, questions: list[Sample]) -> None:
    with pytest.raises(SteeringError, match="selected no position"):
        _see(tiny, questions[:1], "words@prompt:image")


# One token a byte: every word has several.


def _ends_of(model: Model, ids: list[int], word: str) -> list[int]:
    """Indices of the last bytes of whole words, by looking at the text byte by byte."""
    text = "".join(decode(model, [one]) or "\0" for one in ids).lower()
    found: list[int] = []
    for end in range(len(word), len(text) + 1):
        start = end - len(word)
        before, after = text[start - 1 : start], text[end : end + 1]
        apart = not (before.isalnum() or after.isalnum())
        if text[start:end] == word and apart:
            found.append(end - 1)
    return found


def test_a_word_of_several_tokens_in_the_prompt(byte_model: Model, questions: list[Sample]) -> None:
    """The last token of each whole occurrence: "this" is not in "thistle", "is" not in "this"."""
    prompts = ["is this his dog ? This is.", "thistle", "what is this"]
    samples = [Sample(f"b{at}", prompt, questions[at].images) for at, prompt in enumerate(prompts)]
    inputs = encode(byte_model, samples)
    placeholders = placeholder_tokens(byte_model.hf, byte_model.processor)
    for word in ("this", "is"):
        seen = _see(byte_model, samples, f"words@prompt:{word}", max_new_tokens=2)
        expected = torch.zeros_like(seen.changed)
        for row, ids in enumerate(inputs.tensors["input_ids"].tolist()):
            shown = [0 if one in placeholders else one for one in ids]
            expected[row, _ends_of(byte_model, shown, word)] = True
        assert seen.changed.equal(expected)
    assert int(expected[0].sum()) == 2
    assert not expected[1].any()


class _Spell:
    """Makes a model say some bytes, one row each, as a processor of scores."""

    def __init__(self, model: Model, texts: list[str], width: int) -> None:
        self._ids = [model.tokenizer.encode(text, add_special_tokens=False) for text in texts]
        self._width = width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        at = input_ids.shape[1] - self._width
        forced = torch.full_like(scores, -1e9)
        for row, ids in enumerate(self._ids):
            forced[row, ids[at]] = 0.0
        return forced


def test_a_word_of_several_tokens_counts_when_its_last_one_is_read(
    byte_model: Model, questions: list[Sample]
) -> None:
    """Also where more letters follow, which nobody can know; not inside another word."""
    texts = ["a dog.", "dogs a", "hotdog", "DoG do"]
    samples = questions[:4]
    width = encode(byte_model, samples).prompt_width
    spell = _Spell(byte_model, texts, width)
    seen = _see(byte_model, samples, "words@response:dog", logits_processor=[spell])
    said = [decode(byte_model, row[width:]) for row in seen.ids.tolist()]
    assert said == texts
    fed = seen.changed[:, width:]
    wanted = [[4], [2], [], [2]]
    assert [row.nonzero().flatten().tolist() for row in fed] == wanted
    assert not seen.changed[:, :width].any()
    assert [place[2] for place in seen.told()] == [5, 3, 3]


def test_characters_of_several_tokens(byte_model: Model, questions: list[Sample]) -> None:
    samples = questions[:1]
    width = encode(byte_model, samples).prompt_width
    spell = _Spell(byte_model, ["né é"], width)
    seen = _see(byte_model, samples, words("né", where="response"), logits_processor=[spell])
    assert seen.changed[0, width:].nonzero().flatten().tolist() == [2]


# Beams change places in the cache, which nobody tells.

BEAMS: dict[str, Any] = {"num_beams": 2, "max_new_tokens": NEW}


def _beams(model: Model, samples: list[Sample], scope: str, **more: Any) -> Seen:
    return watch(model, samples, build_vector(), steering={"scope": scope}, **BEAMS, **more)


def test_beams_hide_words_of_several_tokens(byte_model: Model, questions: list[Sample]) -> None:
    with pytest.raises(SteeringError, match="words dog have several tokens, and beams") as caught:
        _beams(byte_model, questions[:2], "words:dog")
    assert "use_cache=False" in str(caught.value)
    spell = build_vector()  # without a cache every row is there as a whole
    with steer(byte_model, spell, scope="words:dog"), torch.no_grad():
        inputs = encode(byte_model, [Sample("d", "a dog .", questions[0].images)])
        byte_model.hf.generate(**inputs.tensors, use_cache=False, do_sample=False, **BEAMS)


def test_words_of_the_prompt_are_the_same_for_all_beams(
    byte_model: Model, questions: list[Sample]
) -> None:
    seen = _beams(byte_model, questions[:2], "words@prompt:dog")
    assert [place[0] for place in seen.told()] == [2, 3]
    assert seen.told() == seen.places()


def test_words_of_one_token_are_seen_in_beams(
    tiny: Model, questions: list[Sample], spoken: str
) -> None:
    scope = f"words@response:{spoken}"
    cached = _beams(tiny, questions, scope)
    plain = _beams(tiny, questions, scope, use_cache=False)
    assert cached.ids.equal(plain.ids)
    assert cached.one.tokens == plain.one.tokens > 0


def test_equal_prompts_of_a_batch_are_not_beams(byte_model: Model, questions: list[Sample]) -> None:
    """The usual case: one question about many pictures."""
    samples = [Sample(one.id, "a dog .", one.images) for one in questions[:3]]
    _see(byte_model, samples, "words:dog")
    one = Intervention(build_vector(), scope="words:dog")
    twice = [samples[0], samples[0]]  # even the same picture: our own generation has no beams
    steer_responses(byte_model, twice, [one], max_new_tokens=3)


def test_nor_are_they_where_a_sample_has_several_pictures(
    byte_model: Model, pictures: list[Path]
) -> None:
    at = [str(path) for path in pictures]
    samples = [Sample("a", "a dog .", (at[0], at[1])), Sample("b", "a dog .", (at[0], at[2]))]
    _see(byte_model, samples, "words:dog")
    same = [Sample("a", "a dog .", (at[0], at[1])), Sample("b", "a dog .", (at[0], at[1]))]
    with pytest.raises(SteeringError, match="beams hide what a row says"):
        _see(byte_model, same, "words:dog")


def test_nor_are_they_in_a_family_with_pictures_of_any_size(
    tmp_path: Path, pictures: list[Path]
) -> None:
    qwen = load_model(build_qwen2_vl(tmp_path / "qwen"))
    at = [str(path) for path in pictures[:2]]
    samples = [Sample(one, "is this a snowdog ?", (one,)) for one in (at[0], at[1], at[0])]
    with steer(qwen, build_vector(), scope="words:is,this is"), torch.no_grad():
        inputs = encode(qwen, samples)
        qwen.hf.generate(**inputs.tensors, max_new_tokens=3, do_sample=False)


def test_words_with_a_sampler(tiny: Model, questions: list[Sample]) -> None:
    torch.manual_seed(1)
    more: dict[str, Any] = {"do_sample": True, "num_return_sequences": 2, "max_new_tokens": 8}
    seen = watch(tiny, questions, build_vector(), steering={"scope": "words:a,the,is,."}, **more)
    flags = [_by_hand(tiny, seen, word, "both") for word in ("a", "the", "is", ".")]
    assert seen.changed.equal(torch.stack(flags).any(dim=0))
    assert seen.told() == seen.places()


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("words:dog", Words(("dog",))),
        ("words: dog , cat", Words(("dog", "cat"))),
        ("words@prompt:fire truck", Words(("fire truck",), "prompt")),
        ("words@response:dog", Words(("dog",), "response")),
    ],
)
def test_scopes_are_read_and_written(text: str, scope: Words) -> None:
    assert read_scope(text) == scope
    assert read_scope(str(scope)) == scope


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("words", "unknown scope 'words'"),
        ("words:", "unknown scope 'words:'"),
        ("words:dog,", r"words \('dog', ''\) name nothing"),
        ("words: ", "name nothing"),
        ("words@answer:dog", "words in the 'answer' cannot be steered at\n  where: prompt, resp"),
        ("word:dog", "unknown scope 'word:dog'"),
    ],
)
def test_what_cannot_be_read_says_so(text: str, match: str) -> None:
    with pytest.raises(SteeringError, match=match):
        read_scope(text)
    with pytest.raises(SteeringError, match="name nothing"):
        words()


def test_a_gate_may_guard_words_of_the_response_alone(
    tiny: Model, questions: list[Sample], spoken: str
) -> None:
    gate = When(lambda reading: reading.require_states()[:, 0] > -1e9, layer=0)
    for scope in (f"words:{spoken}", f"words@prompt:{spoken}"):
        with pytest.raises(SteeringError, match="behind positions of scope words"):
            watch(tiny, questions, build_vector(), steering={"scope": scope, "gate": gate})
    scope = f"words@response:{spoken}"
    with_gate = watch(tiny, questions, build_vector(), steering={"scope": scope, "gate": gate})
    without = watch(tiny, questions, build_vector(), steering={"scope": scope})
    assert with_gate.told() == without.told()
    assert all(with_gate.one.gate_open)


def test_words_cannot_be_found_in_embeddings(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:1])
    embedded = tiny.hf.get_input_embeddings()(inputs.tensors["input_ids"])
    with pytest.raises(SteeringError, match="words cannot be found: the model was called with emb"):
        with steer(tiny, build_vector(), scope="words:dog"), torch.no_grad():
            tiny.hf(inputs_embeds=embedded, attention_mask=inputs.tensors["attention_mask"])
