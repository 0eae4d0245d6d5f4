"""A baked checkpoint does what the hooks did and changes nothing else; the rest is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.builders import build_llava, build_vector

from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.core.errors import ExportError, SiteError
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.exporting import Exported, export
from shiftlens.steering.exporting.baking import oven as ovens
from shiftlens.steering.exporting.baking import unbake
from shiftlens.steering.exporting.baking.changes import logits_with
from shiftlens.steering.exporting.baking.comparing import compare, probing
from shiftlens.steering.exporting.baking.linears import all_logits
from shiftlens.steering.exporting.baking.oven import Oven, heat
from shiftlens.steering.exporting.baking.recipe import sort
from shiftlens.steering.gates import AboutToSay
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import as_steering
from shiftlens.steering.operators import Ablate, AddKeepingNorm, MoveTo, Operator

_ALL = (0, 1, 2, 3)
_PROJECTOR = Site(0, tokens.mean_image(), tower="projector")


def _tensors(root: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for file in sorted(root.glob("*.safetensors")):
        found |= load_file(file)
    return found


def _receipt(done: Exported) -> dict[str, Any]:
    return json.loads((done.folder / "baked.json").read_text())


def _edit(d: int, *, clipped: bool = False, site: Site = _PROJECTOR) -> AffineEdit:
    random = torch.Generator().manual_seed(0)
    left, right = torch.randn(d, 2, generator=random), torch.randn(2, d, generator=random)
    mean = torch.randn(d, generator=random)
    return AffineEdit(left * 0.3, right * 0.3, mean, clipped, site, "edit", "LEACE", 1.0)


def test_the_checkpoint_is_plain_and_says_what_the_hooks_said(tiny: Model, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText

    vector = build_vector()
    done = export(vector, "baked", tmp_path / "baked", model=tiny)
    check = _receipt(done)["check"]
    assert check["max_difference"] <= 1e-4
    assert check["unsteered"] > 0.1
    assert check["pictures"]
    assert check["equal_responses"] == check["greedy_responses"] == 4
    assert {file.name for file in done.files} == {file.name for file in done.folder.iterdir()}
    loaded: Any = AutoModelForImageTextToText.from_pretrained(
        done.folder, output_loading_info=True, dtype=torch.float32, attn_implementation="eager"
    )
    plain, report = loaded
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    questions = probing(tiny, need_pictures=True)
    with sort(as_steering(vector, scope="all"), tiny).hooks(tiny):
        hooked = all_logits(tiny, questions.batches)
    same = replace(tiny, hf=plain.eval())
    for ours, theirs in zip(all_logits(same, questions.batches), hooked, strict=True):
        assert float((ours - theirs).abs().max()) <= 1e-4


def test_everything_else_stays_bit_for_bit(tiny: Model, tmp_path: Path) -> None:
    done = export(build_vector(), "baked", tmp_path / "baked", model=tiny)
    before, after = _tensors(tiny.origin.directory), _tensors(done.folder)
    assert all(torch.equal(after[key], one) for key, one in before.items())
    new = {key: one for key, one in after.items() if key not in before}
    assert sorted(new) == sorted(_receipt(done)["added"])
    told = [key for key, one in new.items() if bool(one.any())]
    assert [key.split("layers.")[1] for key in told] == ["1.mlp.down_proj.bias"]
    assert torch.equal(new[told[0]], build_vector().direction)
    mine = json.loads((done.folder / "config.json").read_text())
    mine["text_config"]["mlp_bias"] = False
    theirs = json.loads((tiny.origin.directory / "config.json").read_text())
    assert mine == theirs


def test_the_model_itself_is_given_back(tiny: Model, tmp_path: Path) -> None:
    before = {key: one.clone() for key, one in tiny.hf.state_dict().items()}
    export(build_vector(), "baked", tmp_path / "one", model=tiny)
    ablation = Intervention(build_vector(), scope="all", operator=Ablate(), layers=_ALL)
    export(ablation, "baked", tmp_path / "two", model=tiny, everywhere=True)
    after = tiny.hf.state_dict()
    assert all(torch.equal(after[key], one) for key, one in before.items())


def test_unbaking_gives_the_original_back(tiny: Model, tmp_path: Path) -> None:
    done = export(build_vector(), "baked", tmp_path / "baked", model=tiny)
    back = unbake(done.folder, tmp_path / "back")
    before, after = _tensors(tiny.origin.directory), _tensors(back)
    assert before.keys() == after.keys()
    assert all(torch.equal(after[key], one) for key, one in before.items())
    mine, theirs = (
        json.loads((root / "config.json").read_text()) for root in (back, tiny.origin.directory)
    )
    assert mine == theirs
    assert load_model(back).identity["weights"] == tiny.identity["weights"]


def test_what_has_a_bias_already_keeps_its_settings(tiny: Model, tmp_path: Path) -> None:
    """Baking twice: the second time the setting is on."""
    once = export(build_vector(), "baked", tmp_path / "once", model=tiny)
    vector = build_vector(layer=1, seed=1)
    twice = export(vector, "baked", tmp_path / "twice", model=load_model(once.folder))
    receipt = _receipt(twice)
    assert receipt["settings"] == {}
    assert receipt["added"] == []
    assert len(receipt["changed"]) == 1
    (key,) = receipt["changed"]
    sum_ = build_vector().direction + vector.direction
    assert torch.allclose(_tensors(twice.folder)[key], sum_, atol=1e-6)
    back = _tensors(unbake(twice.folder, tmp_path / "back"))
    assert all(torch.equal(back[name], one) for name, one in _tensors(once.folder).items())


def test_several_vectors_add_up(tiny: Model, tmp_path: Path) -> None:
    many = [
        Intervention(build_vector(seed=1), scope="all", strength=0.5),
        Intervention(build_vector(seed=2), scope="all", strength=-1.0, layers=(1, 3)),
    ]
    done = export(many, "baked", tmp_path / "baked", model=tiny)
    assert _receipt(done)["check"]["max_difference"] <= 1e-4
    told = {
        key for key, one in _tensors(done.folder).items() if "down_proj.bias" in key and one.any()
    }
    assert {key.split("layers.")[1][0] for key in told} == {"1", "3"}


def test_an_ablation_leaves_no_state_with_any_of_the_direction(tiny: Model, tmp_path: Path) -> None:
    vector = build_vector()
    one = Intervention(vector, scope="all", operator=Ablate(), layers=_ALL)
    done = export(one, "baked", tmp_path / "baked", model=tiny, everywhere=True)
    check = _receipt(done)["check"]
    assert check["max_difference"] <= 1e-4 < 1.0 < check["unsteered"]
    assert check["hooks_after_blocks"] > 1.0
    assert "attention" in done.notes[0]
    assert f"{check['hooks_after_blocks']:.3g}" in done.notes[-1]
    baked = load_model(done.folder)
    questions = probing(baked, need_pictures=True)
    unit = vector.direction / vector.norm
    with torch.no_grad():
        for batch in questions.batches:
            states = baked.hf(**batch.tensors, output_hidden_states=True).hidden_states[:-1]
            assert all(float((one @ unit).abs().max()) < 1e-4 for one in states)
    with pytest.raises(ExportError, match="matrices were changed"):
        unbake(done.folder, tmp_path / "back")


@pytest.mark.parametrize(
    "operator", [None, Ablate(), MoveTo(2.0)], ids=["add", "ablate", "move-to"]
)
def test_a_projector_takes_every_affine_operation(
    operator: Operator | None, tiny: Model, tmp_path: Path
) -> None:
    one = Intervention(build_vector(site=_PROJECTOR), 0.7, "image", operator=operator)
    done = export(one, "baked", tmp_path / "baked", model=tiny)
    check = _receipt(done)["check"]
    assert check["max_difference"] <= 1e-4
    assert check["unsteered"] > 0.1


def test_a_projector_takes_leace(tiny: Model, tmp_path: Path) -> None:
    done = export(_edit(32), "baked", tmp_path / "baked", model=tiny)
    check, receipt = _receipt(done)["check"], _receipt(done)
    assert check["max_difference"] <= 1e-4
    assert check["unsteered"] > 0.1
    assert sorted(key.rpartition(".")[2] for key in receipt["changed"]) == ["bias", "weight"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_types_are_held_to_a_tolerance_that_is_told(
    dtype: str, tiny_path: Path, tmp_path: Path
) -> None:
    model, long = load_model(tiny_path, dtype=dtype), build_vector(length=60.0)
    check = _receipt(export(long, "baked", tmp_path / "baked", model=model))["check"]
    assert check["dtype"] == dtype
    assert check["max_difference"] <= check["allowed"] < check["unsteered"]
    assert check["share"] < 0.1


def test_what_rounding_hides_is_no_proof(tiny_path: Path) -> None:
    model = load_model(tiny_path, dtype="bfloat16")
    with pytest.raises(ExportError, match="rounding may be too large to tell"):
        heat(as_steering(build_vector(length=0.1), scope="all"), model)


def test_only_the_files_that_change_are_written_anew(tiny: Model, tmp_path: Path) -> None:
    sharded = tmp_path / "sharded"
    tiny.hf.save_pretrained(sharded, max_shard_size="40KB")
    for file in tiny.origin.directory.iterdir():
        if not (sharded / file.name).exists() and file.suffix != ".safetensors":
            shutil.copyfile(file, sharded / file.name)
    model = load_model(sharded)
    done = export(build_vector(), "baked", tmp_path / "baked", model=model)
    shards = sorted(sharded.glob("*.safetensors"))
    assert len(shards) > 2
    assert all((done.folder / one.name).read_bytes() == one.read_bytes() for one in shards)
    assert _receipt(done)["check"]["equal"]
    back = unbake(done.folder, tmp_path / "back")
    assert _tensors(back).keys() == _tensors(sharded).keys()
    assert load_model(back).respond([]) == []


# Twins: what must not pass.


def _difference(model: Model, oven: Oven, other: Intervention) -> tuple[float, bool]:
    """How far the weights of an oven are from the hooks of another intervention."""
    questions = oven.expected.asked
    with sort(as_steering(other), model).hooks(model):
        hooked = all_logits(model, questions.batches)
    ours = logits_with(model, oven.changes, questions.batches)
    found = compare(model, hooked, ours, oven.expected.plain, pictures=True)
    return found.max_difference, found.equal


@pytest.mark.parametrize(
    ("layer", "strength", "equal"),
    [(1, 1.0, True), (2, 1.0, False), (0, 1.0, False), (1, -1.0, False), (1, 1.01, False)],
)
def test_another_layer_sign_or_strength_is_told_apart(
    layer: int, strength: float, equal: bool, tiny: Model
) -> None:
    oven = heat(as_steering(build_vector(), scope="all"), tiny)
    other = Intervention(build_vector(), strength, "all", layers=(layer,))
    difference, same = _difference(tiny, oven, other)
    assert same is equal
    assert (difference > 1e-3) is not equal


def test_files_that_do_something_else_are_taken_away_again(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ovens.write_weights

    def wrongly(stored: Any, out: Path, edits: Any, added: dict[str, torch.Tensor]) -> Any:
        moved = {key: one.roll(1) for key, one in added.items()}
        return write(stored, out, edits, moved)

    monkeypatch.setattr(ovens, "write_weights", wrongly)
    with pytest.raises(ExportError, match="the checkpoint that was written and the hooks differ"):
        export(build_vector(), "baked", tmp_path / "baked", model=tiny)
    assert not list((tmp_path / "baked").iterdir())


_REFUSED: list[tuple[str, Callable[[Model], Any], str]] = [
    ("response", lambda _: Intervention(build_vector(), scope="response"), "every position"),
    (
        "gate",
        lambda m: Intervention(build_vector(), scope="all", gate=AboutToSay.of(m, "dog")),
        "gate",
    ),
    (
        "norm",
        lambda _: Intervention(build_vector(), scope="all", operator=AddKeepingNorm()),
        "no weight that could carry it",
    ),
    (
        "move-to",
        lambda _: Intervention(build_vector(), scope="all", operator=MoveTo(1.0)),
        "no weight that could carry it",
    ),
    (
        "LEACE in a block",
        lambda _: Intervention(_edit(32, site=Site(1)), scope="all"),
        "no weight that could carry it",
    ),
    (
        "clipped",
        lambda _: Intervention(_edit(32, clipped=True), scope="image"),
        "no weight can do",
    ),
    (
        "one picture",
        lambda _: Intervention(build_vector(site=_PROJECTOR), scope="image:0"),
        "every patch of every picture",
    ),
    (
        "some blocks",
        lambda _: Intervention(build_vector(), scope="all", operator=Ablate(), layers=(1, 2)),
        "not out of a part",
    ),
    (
        "half an ablation",
        lambda _: Intervention(build_vector(), 0.5, "all", operator=Ablate(), layers=_ALL),
        "strength 0.5",
    ),
    ("strength 0", lambda _: Intervention(build_vector(), 0.0, "all"), "nothing to export"),
    (
        "ablation and more",
        lambda _: [
            Intervention(build_vector(), scope="all", operator=Ablate(), layers=_ALL),
            Intervention(build_vector(seed=1), scope="all"),
        ],
        "their order decides",
    ),
]


@pytest.mark.parametrize(
    ("make", "reason"), [one[1:] for one in _REFUSED], ids=[one[0] for one in _REFUSED]
)
def test_what_weights_cannot_do_is_refused(
    make: Callable[[Model], Any], reason: str, tiny: Model, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=reason) as caught:
        export(make(tiny), "baked", tmp_path / "baked", model=tiny)
    assert caught.value.remedy or caught.value.allowed or "nothing to export" in str(caught.value)


def test_a_layer_that_does_not_exist_is_refused(tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(SiteError):
        export(build_vector(layer=4), "baked", tmp_path / "baked", model=tiny)


def test_a_folder_with_something_in_it_is_refused(tiny: Model, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ExportError, match="not empty"):
        export(build_vector(), "baked", tmp_path, model=tiny)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_an_adapter_must_be_merged_first(
    tiny_path: Path, tiny_adapter_path: Path, tmp_path: Path
) -> None:
    _, tuned = load_pair(tiny_path, tiny_adapter_path)
    with pytest.raises(ExportError, match="merge the adapter"):
        export(build_vector(), "baked", tmp_path / "baked", model=tuned)


def test_weights_that_the_files_do_not_hold_are_refused(tmp_path: Path) -> None:
    """Another file under a loaded model: nothing of it may be changed by guess."""
    path = build_llava(tmp_path / "model")
    model = load_model(path)
    other = build_llava(tmp_path / "other", seed=5) / "model.safetensors"
    other.replace(path / "model.safetensors")  # not into the file that the model has mapped
    with pytest.raises(ExportError, match="hold no tensor"):
        heat(as_steering(build_vector(), scope="all"), model)


def test_unbaking_wants_a_receipt(tiny_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"holds no baked\.json"):
        unbake(tiny_path, tmp_path / "back")


def test_the_card_is_markdown_in_which_names_are_no_markup(tiny: Model, tmp_path: Path) -> None:
    vector = build_vector(name="<b>|x|*y*\n---")
    done = export(vector, "baked", tmp_path / "baked", model=tiny)
    text = (done.folder / "README.md").read_text()
    assert "<b>" not in text
    assert r"\<b\>" in text
    assert text.count("\n---\n") == 1
    with safe_open(done.folder / "model-steering.safetensors", "pt") as opened:
        assert opened.metadata() == {"format": "pt"}


_DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no undo": lambda one: one.pop("undo"),
    "another type": lambda one: next(iter(one["undo"]["restore"].values())).update(dtype="load"),
    "no base64": lambda one: next(iter(one["undo"]["restore"].values())).update(base64="?"),
    "other bytes": lambda one: next(iter(one["undo"]["restore"].values())).update(
        base64="AAAA" * 42 + "AAA="
    ),
    "another tensor": lambda one: one["undo"].update(restore={"nobody": {}}),
    "a list": lambda one: one.update(undo=[]),
    "settings": lambda one: one.update(settings={"text_config.mlp_bias": 1}),
}


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose bias was there before."""
    root = tmp_path_factory.mktemp("twice")
    model = load_model(build_llava(root / "model"))
    once = export(build_vector(), "baked", root / "once", model=model)
    again = load_model(once.folder)
    return export(build_vector(seed=1), "baked", root / "twice", model=again).folder


@pytest.mark.parametrize("damage", _DAMAGES.values(), ids=_DAMAGES.keys())
def test_a_damaged_receipt_is_refused_in_one_sentence(
    damage: Callable[[dict[str, Any]], object], twice: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(twice, tmp_path / "copy")
    receipt = json.loads((copy / "baked.json").read_text())
    damage(receipt)
    (copy / "baked.json").write_text(json.dumps(receipt))
    with pytest.raises(ExportError, match="is damaged"):
        unbake(copy, tmp_path / "back")
    assert not (tmp_path / "back").exists()
