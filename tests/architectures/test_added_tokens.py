"""Fine-tunes that add tokens to the vocabulary, or change how they are asked."""

import shutil
from pathlib import Path

import pytest
import torch
from tests.architectures.runs import run_of
from tests.builders import build_llava, edit_json, edit_tensors

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.models.generation import forward
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn, encode_turns

_ADDED = ("<think>", "</think>")
_TURNS = [Turn("what is this ?"), Turn("a man is standing on the beach in the snow , yes ?")]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llava(tmp_path_factory.mktemp("plain") / "model")


def _grow(source: Path, path: Path, *, multiple: int | None = None, resize: bool = True) -> Path:
    """Save a model again with two more special tokens, as trainers do."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(source)
    processor.tokenizer.add_tokens(list(_ADDED), special_tokens=True)
    hf = AutoModelForImageTextToText.from_pretrained(source, dtype=torch.float32)
    if resize:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            hf.resize_token_embeddings(
                len(processor.tokenizer), pad_to_multiple_of=multiple, mean_resizing=False
            )
    hf.save_pretrained(path)
    processor.save_pretrained(path)
    return path


@pytest.fixture(scope="module", params=[None, 64], ids=["as long", "padded"])
def grown(
    plain: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A fine-tune whose embeddings are as long as its tokenizer, or padded to a round number."""
    path = tmp_path_factory.mktemp("grown") / "model"
    return _grow(plain, path, multiple=request.param)


def test_a_model_with_added_tokens_is_read_whole(grown: Path, plain: Path) -> None:
    model, before = load_model(grown), load_model(plain)
    rows = model.hf.get_input_embeddings().num_embeddings
    assert rows >= len(model.tokenizer) == len(before.tokenizer) + 2
    run, alone = run_of(model, _TURNS), [run_of(model, [turn]) for turn in _TURNS]
    assert run.tokens == [one.tokens[0] for one in alone]
    assert model.readout.logits(run.prompt[-1][0]).shape[-1] == rows


def test_added_tokens_are_read_and_said(plain: Path, tmp_path: Path) -> None:
    model = load_model(_grow(plain, tmp_path / "grown"))
    think = model.tokenizer.convert_tokens_to_ids("<think>")
    with_it, without = _logits(model, "<think> yes"), _logits(model, "yes")
    assert not with_it.allclose(without, atol=1e-2)
    (said,) = run_of(model, [Turn("<think> yes")]).inputs.tensors["input_ids"].tolist()
    assert think in said
    given = encode_turns(model, [Turn("yes")], response_ids=[[think, 10]])
    assert given.tensors["input_ids"][0, -2:].tolist() == [think, 10]


def _logits(model: Model, prompt: str) -> torch.Tensor:
    return forward(model, encode_turns(model, [Turn(prompt)])).logits


def test_a_base_without_the_added_tokens_is_no_pair(plain: Path, grown: Path) -> None:
    with pytest.raises(MismatchError, match=r"differ in (vocabulary|shape of)") as it:
        load_pair(plain, grown)
    assert "give a model and a fine-tuned version of it" in it.value.remedy
    with pytest.raises(DataError, match="'vocabulary' cannot be allowed"):
        load_pair(plain, grown, allow=("vocabulary",))


def test_two_models_with_the_same_added_tokens_are_a_pair(grown: Path, tmp_path: Path) -> None:
    base, tuned = load_pair(grown, _trained(grown, tmp_path / "tuned"))
    assert len(base.tokenizer) == len(tuned.tokenizer)
    assert not _logits(base, "yes").allclose(_logits(tuned, "yes"), atol=1e-2)


def _trained(source: Path, path: Path) -> Path:
    """A copy with other weights in the decoder."""
    shutil.copytree(source, path)
    edit_tensors(
        path / "model.safetensors",
        lambda tensors: [
            tensor.mul_(1.1) for name, tensor in tensors.items() if "mlp.down_proj" in name
        ],
    )
    return path


# --- a tokenizer that grew alone


def test_a_token_without_an_embedding_is_refused_by_name(plain: Path, tmp_path: Path) -> None:
    model = load_model(_grow(plain, tmp_path / "torn", resize=False))
    first = len(load_model(plain).tokenizer)
    with pytest.raises(DataError, match=f"no embedding for token {first} .*'<think>'") as caught:
        encode_turns(model, [Turn("yes"), Turn("<think> yes")])
    assert f"tokens 0..{first - 1}" in caught.value.allowed
    with pytest.raises(DataError, match="'</think>'"):
        encode_turns(model, [Turn("yes")], response_ids=[[10, first + 1]])


def test_twin_the_same_model_reads_all_other_tokens(plain: Path, tmp_path: Path) -> None:
    model = load_model(_grow(plain, tmp_path / "torn", resize=False))
    assert _logits(model, "yes").equal(_logits(load_model(plain), "yes"))


# --- another template


@pytest.fixture
def retold(plain: Path, tmp_path: Path) -> Path:
    """A fine-tune with another chat template."""
    path = _trained(plain, tmp_path / "retold")
    template = path / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant :", "assistant : yes ,"))
    return path


def test_another_template_is_refused_by_name(plain: Path, retold: Path) -> None:
    with pytest.raises(MismatchError, match="differ in chat template") as caught:
        load_pair(plain, retold)
    assert "allow=('chat template',)" in caught.value.remedy


def test_another_template_that_is_meant_is_each_models_own(plain: Path, retold: Path) -> None:
    base, tuned = load_pair(plain, retold, allow=("chat template",))
    asked = [
        encode_turns(model, [Turn("what is this ?")]).tensors["input_ids"][0].tolist()
        for model in (base, tuned)
    ]
    more = base.tokenizer("yes ,", add_special_tokens=False)["input_ids"]
    assert asked[1] == asked[0] + more
    assert tuned.proof is not None
    assert "chat template" in tuned.proof.allowed


def test_a_template_that_lost_its_pictures_is_refused(plain: Path, tmp_path: Path) -> None:
    from PIL import Image

    path = Path(shutil.copytree(plain, tmp_path / "blind"))
    (path / "chat_template.jinja").write_text("{{ messages[0]['content'][-1]['text'] }}")
    model, picture = load_model(path), Image.new("RGB", (24, 24))
    with pytest.raises(DataError, match="cannot hold 1 picture"):
        encode_turns(model, [Turn("what is this ?", (picture,))])


def test_ends_that_a_fine_tune_adds_are_refused_by_name(plain: Path, tmp_path: Path) -> None:
    path = _trained(plain, tmp_path / "longer")
    edit_json(path / "generation_config.json", eos_token_id=[2, 10])
    with pytest.raises(MismatchError, match="differ in generation options"):
        load_pair(plain, path)
