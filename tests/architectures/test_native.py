"""What is special about families whose processors decide how many tokens a picture has."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.cases import draw
from tests.architectures.families.family import Family
from tests.architectures.families.native import NATIVE
from tests.architectures.families.native_bare import BARE
from tests.architectures.families.native_more import MORE
from tests.architectures.families.native_qwen import QWEN
from tests.architectures.families.native_tiles import TILES

from shiftlens.core.errors import DataError
from shiftlens.models.generation import generate
from shiftlens.models.hooks import record
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import picture_token, placeholder_tokens
from shiftlens.models.prompts import Turn, encode_turns

_SMALL, _LARGE = (24, 24), (120, 60)


def _named(families: tuple[Family, ...], name: str) -> Family:
    return next(one for one in families if one.name == name)


def _load(family: Family, path: Path) -> Model:
    return load_model(family.build(path / "model", 0))


def _places(model: Model, size: tuple[int, int]) -> int:
    ids = encode_turns(model, [Turn("what is this ?", (draw(size, 0),))]).tensors["input_ids"]
    return int((ids == picture_token(model.hf, model.processor)).sum())


@pytest.mark.parametrize("family", NATIVE, ids=lambda one: one.name)
def test_larger_pictures_have_more_tokens(family: Family, tmp_path: Path) -> None:
    model = _load(family, tmp_path)
    assert 0 < _places(model, _SMALL) < _places(model, _LARGE)


def test_directories_are_as_on_the_hub_so_transformers_asks_for_torchvision(tmp_path: Path) -> None:
    from transformers import AutoProcessor
    from transformers.utils import is_torchvision_available

    if is_torchvision_available():  # the error is what this is about
        return
    families = (QWEN[1], QWEN[2], TILES[0], TILES[1], TILES[3])
    for at, family in enumerate(families):
        path = family.build(tmp_path / str(at), 0)
        with pytest.raises((ImportError, ValueError), match="orchvision"):
            AutoProcessor.from_pretrained(path, local_files_only=True)


def test_windows_are_undone_before_the_language_model(tmp_path: Path) -> None:
    # A change in the last row of patches must arrive in the last row of tokens, though the tower
    # has looked at them in another order.
    model = _load(QWEN[1], tmp_path)
    image = draw((64, 64), 0)
    other = image.copy()
    other.paste((255, 0, 0), (0, 48, 16, 64))  # lower left corner: the first token of the last row
    model.hf.model.visual.fullatt_block_indexes = []  # or the last block would see all windows
    turns = [Turn("what ?", (image,)), Turn("what ?", (other,))]
    inputs = encode_turns(model, turns)
    seen: list[torch.Tensor] = []
    handle = model.hf.model.language_model.layers[0].register_forward_pre_hook(
        lambda _block, args, kwargs: seen.append(args[0] if args else kwargs["hidden_states"]),
        with_kwargs=True,
    )
    with torch.no_grad():
        model.hf(**inputs.tensors)
    handle.remove()
    columns = (inputs.tensors["input_ids"][0] == picture_token(model.hf, model.processor)).nonzero()
    changes = (seen[0][0] - seen[0][1]).abs().amax(dim=-1)[columns[:, 0]].reshape(4, 4)
    assert int(changes.argmax()) == 12
    assert (changes[:2] == 0).all(), "another window saw it"


def test_fuyu_reads_one_picture_a_prompt(tmp_path: Path) -> None:
    model, image = _load(BARE[0], tmp_path), draw((30, 30), 0)
    with pytest.raises(DataError, match=r"cannot prepare these samples .*1 .* tokens and 2 images"):
        encode_turns(model, [Turn("a dog", (image, image))])


def test_fuyu_reads_no_text_beside_a_picture(tmp_path: Path) -> None:
    model, image = _load(BARE[0], tmp_path), draw((30, 30), 0)
    seen, blind = Turn("a dog", (image,)), Turn("a cat")
    for turns in ([seen, blind], [blind, seen]):
        with pytest.raises(DataError, match="in one batch with pictures otherwise than by itself"):
            encode_turns(model, turns)
    # Why: transformers' own processor writes such a text with another beginning and end.
    alone = model.processor(text=["a cat"], return_tensors="pt")["input_ids"][0].tolist()
    both: Any = model.processor(text=["a dog", "a cat"], images=[[image], []], return_tensors="pt")
    beside = [one for one in both["input_ids"][1].tolist() if one != 0]
    assert alone[0] == model.tokenizer.bos_token_id
    assert beside != alone
    assert beside[:-1] == alone[1:]


def test_what_ovis_embeds_otherwise_is_never_said(tmp_path: Path) -> None:
    model = _load(_named(MORE, "Ovis2"), tmp_path)
    marks = set(model.hf.config.visual_indicator_token_ids)
    assert marks <= set(placeholder_tokens(model.hf, model.processor))
    head = model.hf.get_output_embeddings()
    favourite = min(marks)
    with torch.no_grad():  # a model that would say nothing else
        head.weight[favourite] = head.weight.abs().max() * 50 * head.weight.sign().sum(0).sign()
    turns = [Turn("what is this ?", (draw(_LARGE, 0),))]
    with record(model, [-1], keep=lambda state: state[:, -1:]) as seen:
        (said,) = generate(model, encode_turns(model, turns), max_new_tokens=4)
    assert not marks & set(said.token_ids)
    wanted = torch.cat(seen.states[model.address.n_layers - 1])[:, 0]
    assert (model.readout.logits(wanted).argmax(dim=-1) == favourite).any(), "it was never tempted"


def test_small_pictures_of_a_tiled_family_are_not_tiled(tmp_path: Path) -> None:
    model = _load(_named(TILES, "LFM2-VL"), tmp_path)
    few = encode_turns(model, [Turn("a", (draw(_SMALL, 0),))]).tensors["spatial_shapes"]
    many = encode_turns(model, [Turn("a", (draw(_LARGE, 0),))]).tensors["spatial_shapes"]
    assert len(few) == 1
    assert len(many) > 2
    assert (many[:-1] == many[0]).all(), "tiles of one size"
    assert not many[-1].equal(many[0]), "and the whole in its own proportions"
