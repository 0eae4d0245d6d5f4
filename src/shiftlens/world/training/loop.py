"""The training loop that all stages share: schedule, clipping, averaging, checkpoints, time left.

Everything random in a step comes from a generator seeded by (seed, stage, step), so that a resumed
run sees what an uninterrupted one would have seen.
"""

import logging
import math
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from shiftlens.core.manifest import replacing
from shiftlens.core.progress import Progress

_log = logging.getLogger(__name__)

StepLoss = Callable[[np.random.Generator], Tensor]


@dataclass(frozen=True)
class Recipe:
    """How one stage is trained."""

    name: str
    steps: int
    rate: float
    warmup: int = 100
    decay: float = 0.02
    floor: float = 0.02
    averaging: float = 0.99
    """Share of the old value that the running average of the weights keeps at every step."""
    save_every: int = 200


@dataclass(frozen=True)
class Group:
    """Parameters that share a factor on the learning rate."""

    parameters: Sequence[nn.Parameter]
    factor: float = 1.0


def train_stage(
    recipe: Recipe,
    groups: Sequence[Group],
    step_loss: StepLoss,
    *,
    seed: int,
    folder: Path,
    device: torch.device,
    progress: Progress,
) -> None:
    """Train the groups' parameters in place; they end as the running average of the last steps.

    Args:
        recipe: schedule and sizes.
        groups: what is trained.
        step_loss: draws a batch with the given generator and returns its loss.
        seed: of the batches.
        folder: where the checkpoint lies; a run that finds one goes on from it.
        device: where the model lives; bfloat16 autocast is used where it pays.
        progress: who is told.
    """
    state = _State(groups, recipe)
    checkpoint = folder / f"{recipe.name}.safetensors"
    step = state.load(checkpoint) if checkpoint.exists() else 0
    generator_key = zlib.crc32(recipe.name.encode())
    progress.start(recipe.name, recipe.steps)
    progress.advance(step)
    recent, half = list[float](), half_is_faster(device)
    start, first = time.monotonic(), step
    while step < recipe.steps:
        rng = np.random.default_rng([seed, generator_key, step])
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = step_loss(rng)
        state.step(loss, step)
        step += 1
        recent.append(float(loss.detach()))
        progress.advance()
        if step % 50 == 0:
            pace = (time.monotonic() - start) / (step - first)
            left = pace * (recipe.steps - step) / 60
            _log.info(
                "%s step %d of %d, loss %.4f, %.3f s a step, %.1f min left",
                recipe.name, step, recipe.steps, sum(recent[-50:]) / len(recent[-50:]), pace, left,
            )  # fmt: skip
        if step % recipe.save_every == 0 or step == recipe.steps:
            state.save(checkpoint, step)
    state.adopt_average()
    progress.stop()


def half_is_faster(device: torch.device) -> bool:
    """Whether a bfloat16 product beats a float32 one here: true on GPUs and recent CPUs.

    Older CPUs emulate it, sixty times slower; no public flag tells, so both are timed once.
    """
    if device.type != "cpu":
        return True
    seconds: list[float] = []
    for dtype in (torch.bfloat16, torch.float32):
        left, right = torch.ones(256, 192, dtype=dtype), torch.ones(192, 768, dtype=dtype)
        torch.mm(left, right)
        start = time.perf_counter()
        for _ in range(5):
            torch.mm(left, right)
        seconds.append(time.perf_counter() - start)
    return seconds[0] < seconds[1]


class _State:
    """Optimiser, running average, and how both are kept."""

    def __init__(self, groups: Sequence[Group], recipe: Recipe) -> None:
        self.recipe = recipe
        self.parameters = [parameter for group in groups for parameter in group.parameters]
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.optimizer = torch.optim.AdamW(
            [{"params": list(group.parameters), "factor": group.factor} for group in groups],
            recipe.rate,
            weight_decay=recipe.decay,
            betas=(0.9, 0.98),
        )

    def step(self, loss: Tensor, step: int) -> None:
        recipe = self.recipe
        done = step / recipe.steps
        cosine = recipe.floor + (1 - recipe.floor) * 0.5 * (1 + math.cos(math.pi * done))
        rate = recipe.rate * min(1.0, (step + 1) / recipe.warmup) * cosine
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            # The average follows quickly at first, so that early checkpoints are not stale.
            keep = min(recipe.averaging, (step + 1) / (step + 10))
            for average, parameter in zip(self.average, self.parameters, strict=True):
                average.lerp_(parameter.detach(), 1 - keep)

    def adopt_average(self) -> None:
        with torch.no_grad():
            for parameter, average in zip(self.parameters, self.average, strict=True):
                parameter.copy_(average)

    def save(self, path: Path, step: int) -> None:
        tensors: dict[str, Tensor] = {}
        for index, parameter in enumerate(self.parameters):
            moments = self.optimizer.state[parameter]
            tensors[f"weight.{index}"] = parameter.detach().contiguous()
            tensors[f"average.{index}"] = self.average[index].contiguous()
            tensors[f"first.{index}"] = moments["exp_avg"].contiguous()
            tensors[f"second.{index}"] = moments["exp_avg_sq"].contiguous()
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={"step": str(step)})

    def load(self, path: Path) -> int:
        with safe_open(path, framework="pt") as file:
            step = int(file.metadata()["step"])
            with torch.no_grad():
                for index, parameter in enumerate(self.parameters):
                    parameter.copy_(file.get_tensor(f"weight.{index}"))
                    self.average[index].copy_(file.get_tensor(f"average.{index}"))
                    self.optimizer.state[parameter] = {
                        "step": torch.tensor(float(step)),
                        "exp_avg": file.get_tensor(f"first.{index}").to(parameter.device),
                        "exp_avg_sq": file.get_tensor(f"second.{index}").to(parameter.device),
                    }
        return step
