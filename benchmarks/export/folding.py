"""What baking takes: the fold, the copying of weights beside a plain saving, and the proof."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.builders import build_llava, build_vector

from benchmarks.figures import Figure
from shiftlens.models.loading import load_model
from shiftlens.steering.exporting import export
from shiftlens.steering.exporting.baking.comparing import probing
from shiftlens.steering.exporting.baking.oven import heat
from shiftlens.steering.exporting.baking.recipe import sort
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import Steering

_BLOCKS, _D, _ROUNDS = 32, 4096, 5
_PASSES = "four passes of the model, which find layers and factors, are most of it"
# As wide and as deep as a model of 7 billion, and narrow where nothing is folded.
_NARROW: dict[str, Any] = {
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "initializer_range": 0.02,  # sums over 4,096 would leave float32 no digits otherwise
}


def measure() -> list[Figure]:
    """Seconds and ratios, the median of five rounds after one that does not count."""
    with tempfile.TemporaryDirectory() as place:
        return _measured(Path(place))


def _measured(root: Path) -> list[Figure]:
    path = build_llava(root / "model", hidden_size=_D, num_hidden_layers=_BLOCKS, **_NARROW)
    size = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    said = f"{_BLOCKS} blocks, {_D} wide, {size / 1e6:.0f} MB of weights in float32"
    model, steering = load_model(path), _vectors()
    recipe, batches = sort(steering, model), probing(model, need_pictures=False).batches
    folds = _seconds(lambda _: recipe.bake(model, batches), root)
    oven = heat(steering, model)
    ours = _seconds(oven.write_model, root)
    plain = _seconds(model.hf.save_pretrained, root)
    whole = _seconds(lambda folder: export(steering, "baked", folder, model=model), root)
    ratios = [one / other for one, other in zip(ours, plain, strict=True)]
    shares = [1 - (fold + copy) / all_ for fold, copy, all_ in zip(folds, ours, whole, strict=True)]
    return [
        _figure("fold a vector of 32 blocks", folds, "s", f"{said}; {_PASSES}", "<= 1"),
        _figure("copy weights / save_pretrained", ratios, "ratio", f"{said}; ours are synced"),
        _figure("export to baked, all of it", whole, "s", f"{said}; of a loaded model"),
        _figure("of which the proof", shares, "share", "hooks, trying, loading again, comparing"),
    ]


def _vectors() -> Steering:
    many = [build_vector(_D, layer=n, seed=n, length=3.0) for n in range(_BLOCKS)]
    return Steering(tuple(Intervention(one, scope="all") for one in many))


def _seconds(run: Callable[[Path], object], root: Path) -> list[float]:
    """Of each round, in a folder of its own."""
    found: list[float] = []
    for _ in range(_ROUNDS + 1):
        with tempfile.TemporaryDirectory(dir=root) as folder:
            start = time.perf_counter()
            run(Path(folder))
            found.append(time.perf_counter() - start)
    return found[1:]


def _figure(name: str, values: Sequence[float], unit: str, how: str, goal: str = "") -> Figure:
    low, high = min(values), max(values)
    return Figure(name, median(values), low, high, unit, goal, f"{how}; lowest to highest of 5")
