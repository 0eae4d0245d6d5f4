"""Harvests on a GPU: the shape of LLaVA-1.5-7B with random weights, in bfloat16.

Random weights do the same work as trained ones. ``python -m benchmarks.capture.gpu`` runs this part
alone.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.capture.plain import encode_plainly, settings_of
from benchmarks.figures import Figure, from_interval, main
from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.core.intervals import percentile
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample
from shiftlens.models.address import find_address
from shiftlens.models.model import Model, Origin, Response
from shiftlens.models.processing.processors import load_processor
from shiftlens.world import models
from shiftlens.world.source import materialise

N, BATCH, NEW, ROUNDS, SIDE = 64, 32, 32, 20, 8192
SEVEN: dict[str, Any] = {
    "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 128,
    "max_position_embeddings": 4096, "vocab_size": 32064,
}  # fmt: skip
TOWER: dict[str, Any] = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "image_size": 336, "patch_size": 14, "projection_dim": 768,
}  # fmt: skip


def measure() -> list[Figure]:
    """The figures, or one without a value that says why there are none."""
    if not torch.cuda.is_available():
        why = "not run: no CUDA device here; python -m benchmarks.capture.gpu runs this part alone"
        return [Figure("GPU: LLaVA-1.5-7B shape", float("nan"), None, None, "ratio", "", why)]
    with tempfile.TemporaryDirectory() as folder:
        return measure_on(torch.device("cuda"), torch.bfloat16, Path(folder), SEVEN, TOWER)


def measure_on(
    device: torch.device,
    dtype: torch.dtype,
    root: Path,
    text: dict[str, Any],
    tower: dict[str, Any],
    *,
    n: int = N,
    rounds: int = ROUNDS,
    side: int = SIDE,
) -> list[Figure]:
    """The figures on any device and of any shape, so that this part can be tried without a GPU."""
    model = build(root / "model", device, dtype, text, tower)
    samples = read(materialise("captions", root / "data", n=n, seed=0).parent)
    site = Site(-1, tokens.mean_response())
    # Answers of one length, so that both modes and every round do the same work.
    ids = tuple(range(10, 10 + NEW))
    said = {one.id: Response("", ids, truncated=True) for one in samples}

    def run(known: dict[str, Response] | None) -> None:
        out = root / "out"
        harvest(model, samples, site, out, said=known, max_new_tokens=NEW, batch_size=BATCH)
        shutil.rmtree(out)

    taken = _interleaved(
        {
            "bare": lambda: _bare(model, list(samples)),
            "harvest": lambda: run(None),
            "given": lambda: run(said),
        },
        rounds,
        device,
    )
    what = f"{n} pictures, {NEW} new tokens, batches of {BATCH}, {_name(device)}, {dtype}"
    peak = _matmul_peak(device, dtype, side)
    work = _flops(model, list(samples)[:BATCH]) * n / min(n, BATCH)
    share = work / taken["given"] / peak
    return [
        _median("GPU: harvest / bare generation", taken["harvest"] / taken["bare"], "ratio",
                "<= 1.05", f"wall time, rounds interleaved; {what}"),
        _median("GPU: teacher-forced harvest of the matmul peak", share, "share", ">= .45",
                f"counted operations over wall time, opening pictures and writing included, beside "
                f"{peak / 1e12:.2f} Tflop/s of a {side} x {side} product; {what}"),
        _median("GPU: teacher-forced harvest / bare generation", taken["given"] / taken["bare"],
                "ratio", "", f"wall time; {what}"),
    ]  # fmt: skip


def build(
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
    text: dict[str, Any],
    tower: dict[str, Any],
) -> Model:
    """A random LLaVA of a shape, made on the device, with the world's tokenizer."""
    from transformers import AutoConfig, LlavaForConditionalGeneration

    shutil.copytree(models.path("base"), path)
    config: Any = AutoConfig.from_pretrained(path)
    for part, fields in ((config.text_config, text), (config.vision_config, tower)):
        for name, value in fields.items():
            setattr(part, name, value)
    patches = (tower["image_size"] // tower["patch_size"]) ** 2
    config.image_seq_length, config.vision_feature_layer = patches, -2
    # An end-of-sequence token that random weights could say would cut answers short.
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            hf: Any = LlavaForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(before)
    hf.generation_config.suppress_tokens = [int(config.text_config.eos_token_id)]
    processor = load_processor(path, "random")
    processor.patch_size = tower["patch_size"]
    size = tower["image_size"]
    processor.image_processor.size = {"shortest_edge": size}
    processor.image_processor.crop_size = {"height": size, "width": size}
    return Model(hf, processor, "random", None, "base", find_address(hf), Origin(path))


@torch.no_grad()
def _bare(model: Model, samples: list[Sample]) -> None:
    settings = settings_of(model, NEW)
    settings.suppress_tokens += model.hf.generation_config.suppress_tokens
    for start in range(0, len(samples), BATCH):
        inputs = encode_plainly(model, samples[start : start + BATCH])
        output = model.hf.generate(**inputs, generation_config=settings)
        model.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :])


def _interleaved(
    runs: dict[str, Callable[[], None]], rounds: int, device: torch.device
) -> dict[str, np.ndarray]:
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):  # the first round warms up
        for name in list(runs) if number % 2 else reversed(list(runs)):
            _wait(device)
            start = time.perf_counter()
            runs[name]()
            _wait(device)
            if number:
                taken[name].append(time.perf_counter() - start)
    return {name: np.asarray(seconds) for name, seconds in taken.items()}


def _matmul_peak(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Operations a second of the best of several large products."""
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(20):
        _wait(device)
        start = time.perf_counter()
        a @ b
        _wait(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - start))
    return best


@torch.no_grad()
def _flops(model: Model, samples: list[Sample]) -> float:
    """Operations of one teacher-forced pass over a batch, counted as PyTorch runs it."""
    from torch.utils.flop_counter import FlopCounterMode

    from shiftlens.models.generation import forward
    from shiftlens.models.prompts import encode

    inputs = encode(model, samples, response_ids=[tuple(range(10, 10 + NEW))] * len(samples))
    with FlopCounterMode(display=False) as counter:
        forward(model, inputs)
    return float(counter.get_total_flops())


def _median(name: str, values: np.ndarray, unit: str, goal: str, how: str) -> Figure:
    draws = np.median(np.random.default_rng(0).choice(values, (2000, len(values))), axis=1)
    interval = percentile(draws, float(np.median(values)))
    return from_interval(name, interval, unit, goal, f"{how}; median of {len(values)} rounds")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


if __name__ == "__main__":
    main(measure, __doc__ or "")
