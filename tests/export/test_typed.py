"""An option that was typed is used or refused, also where it says what would be anyway."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.builders import build_vector
from tests.export.makers import edit

import shiftlens as sl
from shiftlens.cli import main as cli
from shiftlens.steering.exporting.export import export
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import Ablate

_SETTINGS = {
    "--scope": ("all", "response", "prompt"),
    "--operator": ("add", "ablate"),
    "--layers": ("1", "all", "2"),
}
_TYPED = [(name, value) for name, values in _SETTINGS.items() for value in values]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    sl.Steering((Intervention(build_vector(layer=1), scope="all"),)).save(tmp_path / "kept")
    return tmp_path / "kept"


@pytest.fixture
def affine(tmp_path: Path) -> Path:
    edit(layer=1, clipped=False).save(tmp_path / "edit")
    return tmp_path / "edit"


def verbs(file: Path, model: Path, out: Path) -> dict[str, list[str]]:
    """Every verb that takes a steering, about to use a file."""
    named, to = ["-v", str(file), "--max-new-tokens", "2"], ["-o", str(out), "--quiet"]
    data = out.with_name("asked.jsonl")
    data.write_text('{"id": "a", "prompt": "what", "labels": {"answer": "dog"}}\n')
    fast = "--set source=yes --set target=no --set max_new_tokens=2 --no-fluency".split()
    return {
        "steer": ["steer", str(model), "what", *named],
        "evaluate": ["evaluate", str(model), str(data), *fast, *named[:2], *to],
        "export": ["export", str(file), "--to", "transformers", "--model", str(model), *to],
    }


@pytest.mark.parametrize("verb", ["steer", "evaluate", "export"])
@pytest.mark.parametrize(("name", "value"), _TYPED)
def test_beside_a_steering_nothing_is_left_out(
    verb: str,
    name: str,
    value: str,
    kept: Path,
    tiny_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = verbs(kept, tiny_path, tmp_path / "out")[verb]
    assert cli.run_app([*words, name, value]) == 2
    said = capsys.readouterr().err
    assert f"takes no {name}" in said
    assert f"leave {name} out" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["steer", "export"])
@pytest.mark.parametrize("operator", ["add", "ablate"])
def test_an_affine_edit_takes_no_operator(
    verb: str,
    operator: str,
    affine: Path,
    tiny_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = verbs(affine, tiny_path, tmp_path / "out")[verb]
    assert cli.run_app([*words, "--operator", operator]) == 2
    assert "brings its own operation" in capsys.readouterr().err
    assert cli.run_app(words) == 0


def test_a_search_takes_no_operators_beside_an_affine_edit(
    affine: Path, tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "asked.jsonl"
    rows = [{"id": str(n), "prompt": "what", "labels": {"answer": "dog"}} for n in range(4)]
    data.write_text("\n".join(map(json.dumps, rows)))
    words = ["search", str(tiny_path), str(data), "--vector", str(affine), "--source", "a"]
    words += ["--target", "b", "-o", str(tmp_path / "out"), "--operators", "add"]
    assert cli.run_app(words) == 2
    assert "brings its own operation" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [*_TYPED, ("--strength", "1"), ("--gate", "end")],
)
def test_where_there_is_no_vector_nothing_is_said_about_one(
    name: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "nobody", "nothing", "--set", "source=yes", "--set", "target=no"]
    words += ["--instruction", "Say no.", "-o", str(tmp_path / "out"), name, value]
    assert cli.run_app(words) == 2
    said = capsys.readouterr().err
    assert "name one with --vector" in said
    assert name in said


@pytest.mark.parametrize(
    ("name", "value"),
    [("--positions", "each"), ("--response", "own"), ("--words", ""), ("--prompt", "")],
)
def test_a_control_vector_takes_nothing_about_states(
    name: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(build_vector(layer=2), "gguf", tmp_path / "g")
    words = ["import", str(tmp_path / "g" / "control-vector.gguf"), "-o", str(tmp_path / "back")]
    assert cli.run_app([*words, name, value]) == 2
    assert "no states" in capsys.readouterr().err
    assert cli.run_app(words) == 0


def _blocks(folder: Path) -> list[int]:
    found = load_file(folder / "activations.safetensors")["activations"]
    text = (folder / "request.py").read_text()
    layers = json.loads(text.partition("LAYERS = ")[2].partition("\n")[0])
    assert len(found) == len(layers)
    assert all(torch.equal(one, found[0]) for one in found)
    return layers


def test_all_layers_are_all_of_them(
    tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--layers all`` was once read as none, which means the vector's own."""
    build_vector(layer=2).save(tmp_path / "v")
    words = ["export", str(tmp_path / "v"), "--to", "vllm-lens", "-o", str(tmp_path / "out")]
    assert cli.run_app([*words, "--model", str(tiny_path), "--layers", "all"]) == 0
    assert _blocks(tmp_path / "out") == [0, 1, 2, 3]
    assert cli.run_app([*words, "--layers", "all"]) == 2
    assert "--model DIRECTORY" in capsys.readouterr().err
    assert cli.run_app([*words, "--layers", "1,3"]) == 0
    assert _blocks(tmp_path / "out") == [1, 3]
    words = ["steer", str(tiny_path), "what", "-v", str(tmp_path / "v"), "--layers", "all"]
    assert cli.run_app([*words, "--json", "--max-new-tokens", "2"]) == 0
    out = capsys.readouterr().out
    told = json.loads(out[out.index("{") :])
    assert [part["layer"] for part in told["receipt"]["vectors"]] == [0, 1, 2, 3]


_UNSOUND = {
    "nan": (Intervention(build_vector(layer=2), float("nan"), "all"), "not a finite number"),
    "inf": (Intervention(build_vector(layer=2), float("-inf"), "all"), "not a finite number"),
    "0": (Intervention(build_vector(layer=2), 0.0, "all"), "strength 0"),
    "length": (Intervention(build_vector(layer=2) * 0.0, 1.0, "all"), "length 0"),
    "twice": (Intervention(build_vector(layer=2), 1.0, "all", layers=(2, 2)), "each once"),
    "none": (Intervention(build_vector(layer=2), 1.0, "all", layers=()), "each once"),
    "edit": (Intervention(edit(layer=2), 1.0, "all", operator=Ablate()), "affine edit"),
}


@pytest.mark.parametrize("target", ["gguf", "vllm-lens", "transformers", "baked"])
@pytest.mark.parametrize(("one", "message"), _UNSOUND.values(), ids=_UNSOUND.keys())
def test_what_steers_nothing_or_is_no_number_is_refused_by_every_target(
    target: str, one: Intervention, message: str, tiny_path: Path, tmp_path: Path
) -> None:
    model = tiny_path if target == "baked" else None
    with pytest.raises(sl.ShiftLensError, match=message):
        export(one, target, tmp_path / "out", model=model)
    assert not (tmp_path / "out").exists()


def test_blocks_named_twice_from_both_ends_are_found_with_the_model(
    tiny_path: Path, tmp_path: Path
) -> None:
    one = Intervention(build_vector(layer=2), 1.0, "all", layers=(2, -2))
    with pytest.raises(sl.ShiftLensError, match="each once"):
        export(one, "gguf", tmp_path / "out", model=tiny_path)


@pytest.mark.parametrize("target", ["gguf", "vllm-lens"])
def test_what_no_float32_holds_is_refused(target: str, tmp_path: Path) -> None:
    with pytest.raises(sl.ShiftLensError, match="choose a smaller strength"):
        export(Intervention(build_vector(layer=2), 1e39, "all"), target, tmp_path / "out")
