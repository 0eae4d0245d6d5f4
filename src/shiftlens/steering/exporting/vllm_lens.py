"""The target ``vllm-lens``: a vector a request, for the plugin of vLLM of that name.

The plugin takes ``activations`` (n_layers, d), ``layer_indices`` (blocks counted from 0, their
output), ``scale`` and ``norm_match``; over HTTP as a JSON text inside ``vllm_xargs``, tensors as
base64 of a Zstandard frame.
"""

import base64
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import save
from torch import Tensor

from shiftlens.core.manifest import json_bytes, write_atomic
from shiftlens.steering.exporting.refusing import additions
from shiftlens.steering.exporting.subject import Subject
from shiftlens.steering.exporting.target import Plan, Target, targets
from shiftlens.steering.keeping.steering import Steering

XARGS, ARRAYS, SNIPPET, DOSES = (
    "vllm_xargs.json",
    "activations.safetensors",
    "request.py",
    "doses.json",
)

_NOTES = (
    "strengths are folded into the vectors: scale 1.0 is the whole of it, 0.0 nothing",
    "it is added at every position of the request, those of pictures among them",
    f"HTTP: {XARGS} is the field vllm_xargs of a request; Python: {SNIPPET}",
    f"{DOSES} has the length of what is added and the mean length of states: bound the dose by it",
)

_LINES = '''"""A steering for the vLLM plugin vllm-lens: blocks {blocks}, added at every position.

Written by shiftlens. Needs the plugin in the environment of the server (or of LLM, in Python).

    python request.py http://127.0.0.1:8000 MODEL "What is in the picture?"
"""

import json
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
LAYERS = {layers}


def sampling_params(**options):
    """SamplingParams of vLLM that steer the request that they are given to."""
    from safetensors.torch import load_file
    from vllm import SamplingParams
    from vllm_lens import SteeringVector

    activations = load_file(HERE / "{arrays}")["activations"]
    vector = SteeringVector(
        activations=activations, layer_indices=LAYERS, scale=1.0, norm_match=False
    )
    return SamplingParams(extra_args={{"apply_steering_vectors": [vector]}}, **options)


def body(model, prompt, **options):
    """The body of a steered request to /v1/completions."""
    xargs = json.loads((HERE / "{xargs}").read_text(encoding="utf-8"))
    return {{"model": model, "prompt": prompt, "vllm_xargs": xargs, **options}}


def ask(url, model, prompt, **options):
    """A steered answer of a server."""
    data = json.dumps(body(model, prompt, **options)).encode()
    head = {{"Content-Type": "application/json"}}
    request = urllib.request.Request(f"{{url}}/v1/completions", data, head)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["choices"][0]["text"]


if __name__ == "__main__":
    print(ask(*sys.argv[1:4], temperature=0.0))
'''


@targets.register("vllm-lens")
class VllmLens(Target):
    """A payload for each request: additions at every position."""

    name = "vllm-lens"

    def plan(self, steering: Steering, subject: Subject | None) -> Plan:
        """Sum what is added after each block; strengths are folded in.

        Raises:
            ExportError: something else than additions at every position of the language model.
        """
        added = additions(steering, "vllm-lens", subject)
        layers, activations = list(added), torch.stack(list(added.values()))
        vector = {
            "activations": packed(activations),
            "layer_indices": layers,
            "scale": 1.0,
            "norm_match": False,
            "position_indices": None,
        }
        files = {
            XARGS: json.dumps({"apply_steering_vectors": json.dumps([vector])}).encode(),
            ARRAYS: save({"activations": activations}),
            SNIPPET: _snippet(layers).encode(),
            DOSES: json_bytes({"name": steering.name, "doses": steering.doses}),
        }
        sizes = {name: len(data) for name, data in files.items()}
        return Plan(sizes, _NOTES, partial(_write, files))


def packed(tensor: Tensor) -> dict[str, Any]:
    """A float32 tensor as the plugin's JSON has it."""
    array = tensor.detach().cpu().float().contiguous().numpy()
    frame = pa.compress(array.tobytes(), codec="zstd", asbytes=True)
    return {
        "data": base64.b64encode(frame).decode("ascii"),
        "dtype": str(array.dtype),
        "original_dtype": "torch.float32",
        "shape": list(array.shape),
        "compression": "zstd",
    }


def _snippet(layers: list[int]) -> str:
    blocks = ", ".join(map(str, layers))
    return _LINES.format(blocks=blocks, layers=layers, arrays=ARRAYS, xargs=XARGS)


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        write_atomic(folder / name, data)
