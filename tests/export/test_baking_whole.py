"""A baked checkpoint is there whole or not at all, and is given away with what belongs to it."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.builders import build_llava, build_vector

from shiftlens.cli import main as cli
from shiftlens.core.errors import ExportError
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.steering.exporting import Exported, export
from shiftlens.steering.exporting.baking import oven as ovens
from shiftlens.steering.exporting.baking import unbake
from shiftlens.steering.exporting.staging import staged
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import Ablate

_ALL = (0, 1, 2, 3)
_ABLATION = Intervention(build_vector(), scope="all", operator=Ablate(), layers=_ALL)


def _receipt(done: Exported) -> dict[str, Any]:
    return json.loads((done.folder / "baked.json").read_text())


def _killed(folder: Path, after: int) -> None:
    """Write four files into a folder and be killed when some have been made or moved."""
    program = f"""
import os, signal
from pathlib import Path
from shiftlens.steering.exporting.staging import staged
left = {after}
def step():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
move = Path.replace
def moved(self, target):
    step()
    return move(self, target)
Path.replace = moved
with staged(Path({str(folder)!r})) as place:
    for name in ("a.safetensors", "config.json", "b.json", "README.md"):
        step()
        (place / name).write_text(name)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == (-signal.SIGKILL if after < 8 else 0)


@pytest.mark.parametrize("after", [0, 3, 5, 7, 8])
def test_who_is_killed_leaves_no_configuration_without_all_the_rest(
    after: int, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    _killed(folder, after)
    names = {one.name for one in folder.iterdir() if one.is_file()}
    whole = {"a.safetensors", "config.json", "b.json", "README.md"}
    assert "config.json" not in names or names == whole
    if after < 5:  # nothing was moved: what was left does not stand in the way of another run
        with staged(folder) as place:
            (place / "config.json").write_text("{}")
        assert [one.name for one in folder.iterdir()] == ["config.json"]


def test_nothing_appears_before_the_check(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights once lay under their final name while they were still to be proven."""
    out, check = tmp_path / "out", ovens.Oven._check  # pyright: ignore[reportPrivateUsage]
    seen: list[list[str]] = []

    def looking(self: ovens.Oven, folder: Path) -> dict[str, Any]:
        seen.append([one.name for one in out.iterdir() if one.is_file()])
        return check(self, folder)

    monkeypatch.setattr(ovens.Oven, "_check", looking)
    export(build_vector(), "baked", out, model=tiny)
    assert seen == [[]]
    assert not [one for one in out.iterdir() if one.is_dir()]


def test_an_error_takes_nothing_away_that_somebody_else_put_there(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole folder was once removed."""
    out = tmp_path / "out"

    def failing(_self: ovens.Oven, _folder: Path) -> dict[str, Any]:
        (out / "mine.txt").write_text("keep")
        raise ExportError("no")

    monkeypatch.setattr(ovens.Oven, "_check", failing)
    with pytest.raises(ExportError, match="no"):
        export(build_vector(), "baked", out, model=tiny)
    assert [one.name for one in out.iterdir()] == ["mine.txt"]


def test_a_folder_with_something_in_it_is_refused_before_the_work(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def working(*_: object, **__: object) -> None:
        raise AssertionError("the model was tried first")

    monkeypatch.setattr("shiftlens.steering.exporting.baking.target.heat", working)
    (tmp_path / "mine.txt").write_text("keep")
    for out, message in ((tmp_path, "not empty"), (tmp_path / "mine.txt", "is a file")):
        with pytest.raises(ExportError, match=message):
            export(build_vector(), "baked", out, model=tiny)


# An ablation in weights.


def test_an_ablation_that_weights_do_otherwise_is_refused_unless_asked_for(
    tiny: Model, tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ExportError, match="more than hooks after every block do") as caught:
        export(_ABLATION, "baked", tmp_path / "no", model=tiny)
    assert "--everywhere" in caught.value.remedy
    assert not (tmp_path / "no").exists()
    build_vector().save(tmp_path / "v")
    words = ["export", str(tmp_path / "v"), "--to", "baked", "--model", str(tiny_path)]
    words += ["--operator", "ablate", "--layers", "all", "-o", str(tmp_path / "yes")]
    assert cli.run_app(words) == 2
    assert "--everywhere" in capsys.readouterr().err
    assert cli.run_app([*words, "--everywhere"]) == 0
    receipt = json.loads((tmp_path / "yes" / "baked.json").read_text())
    gap = receipt["check"]["hooks_after_blocks"]
    assert gap > receipt["check"]["allowed"]
    assert f"{gap:.3g}" in caught.value.given
    card = (tmp_path / "yes" / "README.md").read_text()
    assert "in which nothing reads the direction any more" in card
    assert "steered by hooks" not in card


def test_where_hooks_and_weights_do_the_same_nobody_need_ask(tmp_path: Path) -> None:
    """Only feed-forward layers write the direction here: hooks after the blocks take all of it."""
    path = build_llava(tmp_path / "model")
    file = path / "model.safetensors"
    tensors = load_file(file)
    along = torch.zeros(32)
    along[3] = 1.0
    for key, one in tensors.items():
        if "embed_tokens" in key:
            one[:, 3] = 0
        elif ("o_proj" in key and "vision" not in key) or "projector.linear_2" in key:
            one[3] = 0
    save_file(tensors, file, metadata={"format": "pt"})
    model = load_model(path)
    one = replace(_ABLATION, vector=replace(build_vector(), direction=along))
    done = export(one, "baked", tmp_path / "baked", model=model)
    check = _receipt(done)["check"]
    assert check["hooks_after_blocks"] <= check["allowed"] < 0.01 < check["unsteered"]


def test_everywhere_is_refused_where_it_means_nothing(tiny: Model, tmp_path: Path) -> None:
    for target in ("baked", "gguf", "vllm-lens", "transformers"):
        with pytest.raises(ExportError, match="leave --everywhere out"):
            export(build_vector(), target, tmp_path / "out", model=tiny, everywhere=True)


# What is given away with it.


def test_licences_go_along(tmp_path: Path) -> None:
    path = build_llava(tmp_path / "model")
    for name in ("LICENSE", "NOTICE", "USE_POLICY.md", "LICENSE.txt", "run.py"):
        (path / name).write_text(name)
    front = "---\nlicense: other\nlicense_name: 'a b'\nlicense_link: https://example.org\n---\n"
    (path / "README.md").write_text(front)
    done = export(build_vector(), "baked", tmp_path / "baked", model=load_model(path))
    for name in ("LICENSE", "NOTICE", "USE_POLICY.md", "LICENSE.txt"):
        assert (done.folder / name).read_text() == name
    assert not (done.folder / "run.py").exists()
    assert _front(done) == {
        "license": "other",
        "license_name": "a b",
        "license_link": "https://example.org",
    }
    assert (unbake(done.folder, tmp_path / "back") / "NOTICE").is_file()


def _front(done: Exported) -> dict[str, str]:
    from huggingface_hub import ModelCard

    told = ModelCard.load(done.folder / "README.md").data.to_dict()
    assert told.pop("tags") == ["steering", "shiftlens"]
    assert told.pop("library_name") == "transformers"
    assert told.pop("pipeline_tag") == "image-text-to-text"
    return told


@pytest.mark.parametrize("licence", ["mit", "x\nbase_model: evil", '"', "a: b", "- a", "#", "---"])
def test_no_licence_breaks_out_of_the_cards_front_matter(
    licence: str, tiny: Model, tmp_path: Path
) -> None:
    done = export(build_vector(licence=licence), "baked", tmp_path / "baked", model=tiny)
    assert _front(done) == {"license": licence}


@pytest.mark.parametrize(
    "card", ["---\n- a\n---\n", "---\n{\n---\n", "\xff", "---\nlicense: 5\n---"]
)
def test_a_card_that_says_nothing_is_no_obstacle(card: str, tmp_path: Path) -> None:
    path = build_llava(tmp_path / "model")
    (path / "README.md").write_bytes(card.encode("latin-1"))
    done = export(build_vector(), "baked", tmp_path / "baked", model=load_model(path))
    assert _front(done) == {}


# And back.


@pytest.mark.parametrize("damage", ["another", "missing", "more"])
def test_what_was_changed_since_is_not_unbaked(damage: str, tiny: Model, tmp_path: Path) -> None:
    done = export(build_vector(), "baked", tmp_path / "baked", model=tiny)
    file = done.folder / "model-00001.safetensors"
    if damage == "another":
        tensors = load_file(file)
        next(iter(tensors.values())).add_(1)
        save_file(tensors, file, metadata={"format": "pt"})
    elif damage == "missing":
        file.unlink()
    else:
        shutil.copyfile(file, done.folder / "more.safetensors")
    with pytest.raises(ExportError, match="is not as it was baked"):
        unbake(done.folder, tmp_path / "back")
    assert not (tmp_path / "back").exists()
