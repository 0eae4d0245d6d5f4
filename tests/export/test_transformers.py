"""The file for transformers: run by itself, without shiftlens, it says what the hooks say."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.builders import build_vector
from tests.export.makers import edit, probe

import shiftlens as sl
from shiftlens.core.errors import ExportError
from shiftlens.models.model import Model
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import Ablate, AddKeepingNorm, MoveTo

_ALONE = """
import json, sys

sys.modules["shiftlens"] = None  # importing it fails

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

model_path, inputs_path, out_path, *folders = sys.argv[1:]
model = AutoModelForImageTextToText.from_pretrained(model_path, attn_implementation="eager").eval()
inputs, found = load_file(inputs_path), {}
with torch.no_grad():
    found["before"] = model(**inputs).logits
    for folder in folders:
        sys.path.insert(0, folder)
        sys.modules.pop("steer", None)
        from steer import steer
        with steer(model):
            found[folder + ":logits"] = model(**inputs).logits
            found[folder + ":ids"] = model.generate(**inputs, max_new_tokens=6, do_sample=False)
        if folder.endswith("response"):
            right = torch.cat([inputs["attention_mask"][:, 1:], torch.zeros(1, 1).long()], dim=1)
            for wrong in ({"attention_mask": right}, {"use_cache": False}):
                try:
                    with steer(model):
                        model.generate(**{**inputs, **wrong}, max_new_tokens=2, do_sample=False)
                except ValueError as error:
                    assert "the scope response needs" in str(error)
                else:
                    raise AssertionError(wrong)
        with steer(model, strength=0.0):
            assert torch.equal(model(**inputs).logits, found["before"])
        sys.path.pop(0)
    assert torch.equal(model(**inputs).logits, found["before"]), "the model is given back"
    assert not any(module._forward_hooks for module in model.model.language_model.layers)
save_file({name: one.contiguous() for name, one in found.items()}, out_path)
"""


def _steerings(model: Model) -> dict[str, list[Intervention]]:
    vector, other = build_vector(layer=1), build_vector(layer=2, seed=3, length=3.0)
    return {
        "add": [Intervention(vector, 0.7, "all")],
        "norm": [Intervention(vector, 0.7, "all", operator=AddKeepingNorm())],
        "ablate": [Intervention(vector, 1.0, "all", operator=Ablate(), layers=(0, 1, 3))],
        "move": [Intervention(vector, 1.0, "all", operator=MoveTo(2.5))],
        "affine": [Intervention(edit(), 1.0, "all"), Intervention(edit(clipped=False), 0.5, "all")],
        "response": [
            Intervention(vector, 0.7),
            Intervention(other, 1.0, "all", operator=Ablate()),
            Intervention(edit(layer=3), 1.0),
        ],
        "many": [
            Intervention(vector, 1.0, "all"),
            Intervention(other, -1.0, "all", operator=Ablate(), layers=(1, 2)),
            Intervention(edit(layer=3), 1.0, "all"),
        ],
    }


@pytest.mark.slow
def test_alone_it_gives_the_logits_and_the_words_of_the_hooks(
    tiny: Model, tiny_path: Path, tmp_path: Path
) -> None:
    steerings = _steerings(tiny)
    inputs = dict(tiny.tokenizer("is the dog in the picture ?", return_tensors="pt"))
    save_file({name: one.contiguous() for name, one in inputs.items()}, tmp_path / "inputs")
    folders: dict[str, str] = {}
    for at, (name, parts) in enumerate(steerings.items()):
        # Half of them know the model, and where its blocks are; the others look for them.
        sl.export(parts, "transformers", tmp_path / name, model=tiny if at % 2 else None)
        folders[name] = str(tmp_path / name)
    words = [str(tiny_path), str(tmp_path / "inputs"), str(tmp_path / "out"), *folders.values()]
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = load_file(tmp_path / "out")
    for name, parts in steerings.items():
        with torch.no_grad(), sl.steer(tiny, parts):
            logits = tiny.hf(**inputs).logits
            ids = tiny.hf.generate(**inputs, max_new_tokens=6, do_sample=False)
        assert (found[f"{folders[name]}:logits"] - logits).abs().max() <= 1e-5, name
        assert torch.equal(found[f"{folders[name]}:ids"], ids), name
        assert (logits - found["before"]).abs().max() > 1e-2, f"{name} does something"


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (Intervention(build_vector(), scope="generated"), "has the scope 'generated'"),
        (Intervention(build_vector(), scope="image"), "has the scope 'image'"),
        (Intervention(build_vector(), scope="all", gate=probe()), "has no gates"),
    ],
)
def test_what_it_cannot_express_is_refused(one: Intervention, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message):
        sl.export(one, "transformers", tmp_path)


def test_names_do_not_become_program(tmp_path: Path) -> None:
    evil = build_vector(name='"""\nimport os; os.system("x")\n\'\'\'')
    made = sl.export(evil, "transformers", tmp_path)
    source = next(path for path in made.files if path.name == "steer.py").read_text()
    compile(source, "steer.py", "exec")
    assert "os.system" not in source


def test_tensors_of_another_export_are_refused(tiny: Model, tmp_path: Path) -> None:
    """Who is killed while one export replaces another leaves two halves."""
    import importlib.util

    for seed in (0, 1):
        vector = build_vector(seed=seed)
        sl.export(vector, "transformers", tmp_path / str(seed), model=tiny)
    spec = importlib.util.spec_from_file_location("steer_alone", tmp_path / "0" / "steer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.steer(tiny.hf):
        pass
    other = (tmp_path / "1" / "steer.safetensors").read_bytes()
    (tmp_path / "0" / "steer.safetensors").write_bytes(other)
    with pytest.raises(ValueError, match="is not the file that"), module.steer(tiny.hf):
        pass
