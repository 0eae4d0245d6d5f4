"""What is run, and killed: harvests of tiny models, each in one process or in several."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet  # noqa: F401 - loaded before anything is forked, and not in every child
import safetensors.torch  # noqa: F401
import torch
from tests.builders import build_adapter, build_llava, build_pictures

from shiftlens.activations.harvesting import harvest
from shiftlens.activations.in_turn import harvest_pair
from shiftlens.activations.site import Site
from shiftlens.activations.survey import survey
from shiftlens.activations.tokens import mean_response
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.loading import load_pair

_OPTIONS: dict[str, Any] = {"max_new_tokens": 3, "batch_size": 1, "part_size": 1}


@dataclass(frozen=True)
class Scene:
    """One kind of run.

    Attributes:
        name: of the row in the table.
        work: what each of its processes does with the directory; they run at the same time.
        workers: what the names of processes begin with that may be killed beside the first ones.
        usual: whether it is run unless it is asked for by name.
    """

    name: str
    work: tuple[Callable[[Path], object], ...]
    workers: str = ""
    usual: bool = True


def build_scenes(folder: Path, *, n: int = 3) -> list[Scene]:
    """Tiny models and pictures, loaded once, and everything that is done with them.

    Args:
        folder: where their files go.
        n: pictures; each is a part.
    """
    torch.set_num_threads(1)  # a forked process has no threads but its own
    base_path, tuned_path = build_llava(folder / "base"), build_llava(folder / "tuned", seed=3)
    base, tuned = load_pair(base_path, build_adapter(base_path, folder / "adapter"))
    pictures = build_pictures(folder / "pictures", n)
    samples = Samples(
        [Sample(f"q{i}", "what is this ?", (str(f),)) for i, f in enumerate(pictures)]
    )
    site = Site((1, -1), mean_response())

    def share(number: int) -> Callable[[Path], object]:
        return lambda out: harvest(base, samples, site, out, **_OPTIONS, part=(number, 2))

    def on_ray(out: Path) -> object:
        from shiftlens.distributed.ray_executor import RayExecutor

        executor = RayExecutor(2, address="local")
        return harvest(base, samples, site, out, **_OPTIONS, executor=executor)

    return [
        Scene("one model", (lambda out: harvest(base, samples, site, out, **_OPTIONS),)),
        Scene("a pair", (lambda out: harvest([base, tuned], samples, site, out, **_OPTIONS),)),
        Scene("two shares", (share(1), share(2))),
        Scene(
            "decoders",
            (lambda out: harvest(base, samples, site, out, **_OPTIONS, decoders=2),),
        ),
        Scene("survey", (lambda out: survey(base, tuned, samples, out, **_OPTIONS),)),
        Scene(
            "in turn",
            (lambda out: harvest_pair(base_path, tuned_path, samples, site, out, **_OPTIONS),),
        ),
        Scene("ray", (on_ray,), workers="ray::", usual=False),  # ten seconds to begin
    ]
