"""How long it takes to save, load and export a steering of 32 blocks, 4,096 wide."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.figures import Figure
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import last_prompt
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.steering.exporting.export import export
from shiftlens.steering.exporting.gguf_reading import read_gguf
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import Steering

_BLOCKS, _D, _TIMES = 32, 4096, 9
_TARGETS = ("gguf", "vllm-lens", "transformers")
_SAID = f"of a vector of {_BLOCKS} blocks, {_D} wide, in float32"


def measure() -> list[Figure]:
    """Seconds of each, the median of nine after one that does not count."""
    steering = _large()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        figures = [
            _timed(
                f"export to {name}",
                lambda name=name: export(steering, name, folder / name),
                "the files written and forced to the disk",
            )
            for name in _TARGETS
        ]
        kept = folder / "kept"
        file = folder / "gguf" / "control-vector.gguf"
        return [
            *figures,
            _timed("save a steering", lambda: steering.save(kept), "forced to the disk", goal=""),
            _timed("load a steering", lambda: Steering.load(kept), "checksums and all", goal=""),
            _timed("import a GGUF", lambda: read_gguf(file), "as a steering", goal=""),
        ]


def _large() -> Steering:
    """Block 0 is left out: no control vector has it."""
    random = torch.Generator().manual_seed(0)
    parts = [
        Intervention(
            SteeringVector(
                torch.randn(_D, generator=random), Site(block, last_prompt()), str(block), "x", 1.0
            ),
            scope="all",
        )
        for block in range(1, _BLOCKS + 1)
    ]
    return Steering(tuple(parts))


def _timed(name: str, run: Callable[[], object], how: str, goal: str = "<= 1") -> Figure:
    run()  # imports, and the first touch of the disk
    seconds: list[float] = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    ranked = sorted(seconds)
    middle = ranked[_TIMES // 2]
    return Figure(
        name, middle, ranked[0], ranked[-1], "s", goal, f"{_SAID}; {how}; fastest to slowest of 9"
    )
