"""Every family of the table with torchvision, beside the same without: run by hand, not by pytest.

Nothing of ours may need torchvision, and a user's machine may have it: then transformers takes
other image processors, and loads video processors. This shows that loading works there too, and
how far pixels and logits are apart. torchvision is put into a folder of its own, never into the
environment of the project:

    pip install --no-deps --target /tmp/torchvision torchvision
    python -m tests.architectures.with_torchvision dump without
    PYTHONPATH=/tmp/torchvision python -m tests.architectures.with_torchvision dump with
    python -m tests.architectures.with_torchvision compare without with

``dump`` writes a folder, and takes names of families behind it. ``compare`` prints a line a family:
the two image processors, whether the tokens are the same, and the largest differences, of pixels
and of logits, in shares of their range. It exits with 1 where a family loads in one of the two
alone, where tokens differ, where pixels differ by more than a few levels of 255, and where the two
processors are one (torchvision's on our own functions) and pixels differ by more than rounding.

Seen with torchvision 0.29.1 and torch 2.13.0, on 40 families: the same tokens in all; where the
processor is one (Llama4, LFM2-VL, Molmo2, Fuyu, Command A Vision) the same bits; in the others
pixels differ by up to 0.009 of their range (2.3 levels) and logits by up to 0.023 of theirs.
"""

import contextlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_SIZES = ((96, 40), (36, 90), (64, 64), (30, 26))
# Levels of 255 by which two ways of resizing may be apart, and the share that is rounding.
_LEVELS, _ROUNDING = 4.0, 1e-5
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def main(arguments: list[str]) -> int:
    """Run one of the two commands; the exit code."""
    match arguments:
        case ["dump", folder, *names]:
            with _operators():
                dump(Path(folder), names)
            return 0
        case ["compare", without, with_it]:
            return compare(Path(without), Path(with_it))
        case _:
            sys.stderr.write(str(__doc__))
            return 2


@contextlib.contextmanager
def _operators() -> Generator[None]:
    """Define what torchvision's Python asks its compiled part for, which is made for GPUs."""
    if importlib.util.find_spec("torchvision") is None:
        yield
        return
    library = torch.library.Library("torchvision", "DEF")
    for one in _OPERATORS:
        library.define(one)
    yield


def dump(folder: Path, names: list[str]) -> None:
    """Build and load families, read a picture of every size with each, and keep what came out."""
    from tests.architectures.families.table import FAMILIES

    folder.mkdir(parents=True, exist_ok=True)
    said: dict[str, str] = {}
    for number, family in enumerate(FAMILIES):
        if names and family.name not in names:
            continue
        with tempfile.TemporaryDirectory() as place:
            try:
                kind, tensors = _read(family.build(Path(place) / "model", 0))
                save_file(tensors, folder / f"{number}.safetensors")
                said[family.name] = kind
            except Exception as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                said[family.name] = f"fails: {lines[0]}"
        _say(f"{family.name}: {said[family.name]}")
    (folder / "families.json").write_text(
        json.dumps({name: [at, said.get(name)] for at, name in enumerate(_names())})
    )


def _names() -> list[str]:
    from tests.architectures.families.table import FAMILIES

    return [family.name for family in FAMILIES]


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The name of the image processor; tokens, pixels and last logits by the picture's number."""
    from tests.architectures.cases import draw

    from shiftlens.models.loading import load_model
    from shiftlens.models.prompts import Turn, encode_turns

    model = load_model(path)
    kept: dict[str, Tensor] = {}
    for at, size in enumerate(_SIZES):
        inputs = encode_turns(model, [Turn("what is this ?", (draw(size, at),))])
        with torch.no_grad(), model.active():
            logits = model.hf(**inputs.tensors).logits[:, -1]
        kept |= {f"logits.{at}": logits, f"tokens.{at}": inputs.tensors["input_ids"]}
        for name, tensor in inputs.tensors.items():
            if tensor.is_floating_point() and tensor.numel() > 1:
                kept[f"pixels.{at}.{name}"] = tensor
    return (
        type(model.processor.image_processor).__name__,
        {name: tensor.clone().contiguous() for name, tensor in kept.items()},
    )


def compare(without: Path, with_it: Path) -> int:
    """Print how far two dumps are apart; 1 where that is too far."""
    ours, theirs = (json.loads((one / "families.json").read_text()) for one in (without, with_it))
    _say(f"{'family':20}{'without':34}{'with':31}{'tokens':>8}{'pixels':>10}{'logits':>10}")
    failed, n = 0, 0
    for name, (at, mine) in ours.items():
        yours = theirs.get(name, (at, None))[1]
        if mine is None and yours is None:
            continue
        n += 1
        file = f"{at}.safetensors"
        if not (without / file).is_file() or not (with_it / file).is_file():
            line, bad = f"{mine} / {yours}", True
        else:
            line, bad = _line(load_file(without / file), load_file(with_it / file), mine, yours)
        failed += bad
        _say(f"{name:20}{line}{' <- TOO FAR' if bad else ''}")
    _say(f"{n} families, {failed} of them too far apart or not loaded")
    return int(failed > 0)


def _line(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], mine: str, yours: str
) -> tuple[str, bool]:
    far = {
        kind: max(
            (_apart(one, theirs.get(name)) for name, one in ours.items() if name.startswith(kind)),
            default=0.0,
        )
        for kind in ("tokens", "pixels", "logits")
    }
    allowed = _ROUNDING if mine == yours else _LEVELS / 255
    bad = far["tokens"] > 0 or far["pixels"] > allowed
    tokens = "OTHER" if far["tokens"] else "same"
    return f"{mine:34}{yours:31}{tokens:>8}{far['pixels']:10.1e}{far['logits']:10.1e}", bad


def _apart(one: Tensor, other: Tensor | None) -> float:
    """The largest difference, as a share of the range of the first."""
    if other is None or one.shape != other.shape:
        return float("inf")
    if not one.is_floating_point():
        return float((one - other).abs().max())
    finite = one > torch.finfo(one.dtype).min / 2  # families bar logits of picture tokens
    span = float(one[finite].max() - one[finite].min()) or 1.0
    return float((one[finite] - other[finite]).abs().max()) / span


def _say(line: Any) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
