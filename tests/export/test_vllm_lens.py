"""The payload of vllm-lens, read back by the rules that the plugin publishes."""

import base64
import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from tests.builders import build_vector
from tests.export.makers import edit, probe

import shiftlens as sl
from shiftlens.core.errors import ExportError
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import AddKeepingNorm


def unpacked(one: dict[str, Any]) -> np.ndarray:
    """A tensor of the plugin's JSON: base64, one Zstandard frame, bytes of a numpy type."""
    assert set(one) == {"data", "dtype", "original_dtype", "shape", "compression"}
    assert one["compression"] == "zstd"
    assert (one["dtype"], one["original_dtype"]) == ("float32", "torch.float32")
    frame = base64.b64decode(one["data"], validate=True)
    assert frame[:4] == b"\x28\xb5\x2f\xfd"
    # The plugin's reader asks the frame for its size: these bits say that it is there.
    assert frame[4] >> 6 or frame[4] >> 5 & 1
    size = 4 * int(np.prod(one["shape"]))
    plain = pa.decompress(frame, decompressed_size=size, codec="zstd", asbytes=True)
    return np.frombuffer(plain, dtype=one["dtype"]).reshape(one["shape"])


def test_both_payloads_hold_what_the_hooks_add(tmp_path: Path) -> None:
    parts = [Intervention(build_vector(layer=n, seed=n), -0.5, "all") for n in (3, 0, 3)]
    made = sl.export(parts, "vllm-lens", tmp_path)
    names = {"vllm_xargs.json", "activations.safetensors", "request.py", "doses.json"}
    assert {path.name for path in made.files} == names
    assert {path.name for path in tmp_path.iterdir()} == names
    # vllm_xargs takes texts: the list is JSON inside JSON.
    xargs = json.loads((tmp_path / "vllm_xargs.json").read_text())
    (vector,) = json.loads(xargs["apply_steering_vectors"])
    assert vector["layer_indices"] == [0, 3]
    assert (vector["scale"], vector["norm_match"], vector["position_indices"]) == (1.0, False, None)
    wanted = torch.stack([-0.5 * parts[1].vector.direction, -parts[0].vector.direction])  # pyright: ignore
    assert np.allclose(unpacked(vector["activations"]), wanted.numpy(), atol=1e-7)
    inside = load_file(tmp_path / "activations.safetensors")["activations"]
    assert np.array_equal(inside.numpy(), unpacked(vector["activations"]))
    assert len(json.loads((tmp_path / "doses.json").read_text())["doses"]) == 3


def test_the_python_file_makes_bodies_and_sampling_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sl.export(build_vector(layer=2), "vllm-lens", tmp_path)
    # Stand-ins with the signatures that the plugin and vLLM publish.
    lens = SimpleNamespace(SteeringVector=lambda **fields: fields)
    engine = SimpleNamespace(SamplingParams=lambda **fields: fields)
    monkeypatch.setitem(sys.modules, "vllm_lens", lens)  # pyright: ignore[reportArgumentType]
    monkeypatch.setitem(sys.modules, "vllm", engine)  # pyright: ignore[reportArgumentType]
    made = runpy.run_path(str(tmp_path / "request.py"))
    body = made["body"]("me/model", "What?", max_tokens=3)
    assert (body["model"], body["prompt"], body["max_tokens"]) == ("me/model", "What?", 3)
    assert body["vllm_xargs"] == json.loads((tmp_path / "vllm_xargs.json").read_text())
    chosen = made["sampling_params"](temperature=0.0)
    (vector,) = chosen["extra_args"]["apply_steering_vectors"]
    assert chosen["temperature"] == 0.0
    assert vector["layer_indices"] == [2]
    assert vector["activations"].shape == (1, 32)


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (Intervention(build_vector(), scope="generated"), "has the scope 'generated'"),
        (Intervention(build_vector(), scope="all", gate=probe()), "has no gates"),
        (Intervention(build_vector(), scope="all", operator=AddKeepingNorm()), "add-keeping-norm"),
        (Intervention(edit(), scope="all"), "is an affine edit"),
        (Intervention(build_vector(48), scope="all"), "of one width"),
    ],
)
def test_what_it_cannot_express_is_refused(one: Intervention, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message):
        sl.export([build_vector(), one], "vllm-lens", tmp_path)
    assert not list(tmp_path.iterdir())
