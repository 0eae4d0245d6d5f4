"""Readers of shared files under random and hostile bytes: an error of ours, or a result.

    python -m tests.export.fuzz --inputs 100000

Every input is a file, or a pair of files, that a reader is given: saved ones with bytes changed,
cut off, put in; JSON of the right form with values of the wrong kind, checksums made right again;
heads of safetensors and GGUF with counts and sizes that lie; pickles. What counts as a failure: any
exception that is not of the family ``ShiftLensError``, a call of what a pickle asks for, more than
256 MiB of new memory, more than ten seconds for one input.
"""

import argparse
import json
import resource
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from tests.builders import build_vector
from tests.export.makers import concepts, edit, everything, forged, parts_of, probe

from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import ExportError, ShiftLensError
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.exporting.export import export, plan_export
from shiftlens.steering.exporting.gguf_reading import read_gguf
from shiftlens.steering.gates import LinearGate
from shiftlens.steering.keeping.card import card
from shiftlens.steering.keeping.steering import Steering, as_steering
from shiftlens.steering.reading import read_kept

_D = 8
_MOST_MEMORY = 256 * 2**20
_MOST_SECONDS = 10.0
_ROUND = 5_000
_BOOM = Path("shiftlens-fuzz-was-run")
PICKLE = (
    b"\x80\x04\x957\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94"
    b"\x8c\x1ctouch shiftlens-fuzz-was-run\x94\x85\x94R\x94."
)
"""Whatever unpickled this would run a program."""


@dataclass
class Tally:
    """What became of the inputs."""

    read: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    slowest: float = 0.0

    @property
    def inputs(self) -> int:
        return self.read.total() + self.refused.total()


@dataclass(frozen=True)
class Case:
    """A reader, and the saved file or files that inputs are made from."""

    name: str
    read: Callable[[Path], object]
    stem: Path


def saved(folder: Path) -> list[Case]:
    """Every reader with something that it can read."""
    makers: list[tuple[str, Callable[[Path], object], Callable[[Path], object]]] = [
        ("SteeringVector", SteeringVector.load, build_vector(_D).save),
        ("Steering", Steering.load, everything(_D).save),
        *((f"Steering {at}", Steering.load, one.save) for at, one in enumerate(_parts())),
        ("Concepts", Concepts.load, concepts(_D).save),
        ("AffineEdit", AffineEdit.load, edit(_D).save),
        ("LinearGate", LinearGate.load, probe(_D).save),
        ("whichever", read_kept, build_vector(_D).save),
    ]
    found: list[Case] = []
    for name, read, save in makers:
        save(folder / name)
        found.append(Case(name, read, folder / name))
    made = export([build_vector(_D, layer=n) for n in (1, 2)], "gguf", folder / "gguf")
    named = [one for one in found if " " not in one.name]
    # As many turns for each reader as the steerings of one part have among them, about.
    return [*found, *named * 2, *[Case("GGUF", read_gguf, made.files[0])] * 4]


def _parts() -> list[Steering]:
    """Steerings of one intervention each: the fewer places there are, the sooner each is hit."""
    return [Steering((one,)) for one in everything(_D).interventions]


_JSON = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 3, 10**30, 2**63, 0.5, -0.0, 1e308, 1e-320),
        *(float("nan"), float("inf"), "", "x", "1", "all", "\ud800", "a\x1b[2J", "__class__"),
        *("../../etc/passwd", "os.system", "x" * 200_000, "\u202e", "direction", "affine edit"),
        *([], [[]], [0], ["a"], [None], [1.5, "x"], [[["deep"]]], {}, {"": 0}, {"gate": "not"}),
        *({"gate": "and", "of": []}, {"gate": "linear"}, {"scope": "image", "picture": -1}),
        *({"scope": "patches", "box": [0, 0, 0, 0], "picture": 0}, {"operator": "move-to"}),
        *({"layer": 2, "tokens": {"kind": "mean", "of": {}}}, {"layer": [], "tokens": {}}),
        *({"kind": "word", "words": 5}, {"name": "sae"}, {"name": "nearest", "space": "x"}),
    ]
)
_TEXTS = st.sampled_from(
    [
        b"[" * 200_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"kind": 1e999}',
        b'{"kind": ' + b"9" * 5_000 + b"}",
        b'{"kind": NaN}',
        b'{"kind": "steering", "kind": "concepts"}',
        b'{"a": "\\ud800"}',
        b"\xff\xfe{}",
        b"null",
        b"",
        b'"' + b"x" * 3_000_000 + b'"',
        PICKLE,
    ]
)


def mangled(data: DataObject, whole: bytes) -> bytes:
    """Saved bytes with some changed, left out, put in, or cut off."""
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "number", "noise", "pickle"]))
    if kind == "pickle":
        return PICKLE + whole[data.draw(st.integers(0, len(whole))) :]
    if kind == "noise":
        return data.draw(st.binary(max_size=200))
    at = data.draw(st.integers(0, max(len(whole) - 1, 0)))
    if kind == "cut":
        return whole[:at]
    if kind == "insert":
        return whole[:at] + data.draw(st.binary(max_size=16)) + whole[at:]
    if kind == "number":
        wild = data.draw(st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1]))
        return whole[:at] + struct.pack("<Q", wild) + whole[at + 8 :]
    flipped = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        flipped[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    return bytes(flipped)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(one, (*path, key))


def twisted(data: DataObject, head: dict[str, Any]) -> dict[str, Any]:
    """A saved head whose values, here and there, are of another kind, missing, or too many."""
    # Drawn values are copied: the next one may be put inside them.
    copy = json.loads(json.dumps(head))
    for _ in range(data.draw(st.integers(1, 2))):
        places = [place for place in _places(copy["data"]) if place]
        if not places:
            break
        *way, last = places[data.draw(st.integers(0, len(places) - 1))]
        inner = copy["data"]
        for key in way:
            inner = inner[key]
        what = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if what == "replace":
            inner[last] = deepcopy(data.draw(_JSON))
        elif what == "remove":
            del inner[last]
        elif isinstance(inner, dict):
            inner[data.draw(st.text(max_size=8))] = deepcopy(data.draw(_JSON))
        else:
            inner.append(deepcopy(data.draw(_JSON)))
    return copy


def safetensors_lie(data: DataObject, whole: bytes) -> bytes:
    """A tensor file whose head says other shapes, types, offsets or sizes."""
    (size,) = struct.unpack_from("<Q", whole)
    head, body = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    names = sorted(head.keys() - {"__metadata__"})
    one = head[data.draw(st.sampled_from(names))]
    lie = data.draw(st.sampled_from(["dtype", "shape", "data_offsets", "size", "name"]))
    if lie == "dtype":
        kinds = ["F64", "F16", "BF16", "I64", "U8", "BOOL", "C64", "F8_E4M3", "X"]
        one["dtype"] = data.draw(st.sampled_from(kinds))
    elif lie == "shape":
        numbers = st.sampled_from([0, 1, -1, 2, 4, 2**40, 2**63])
        one["shape"] = data.draw(st.lists(numbers, max_size=4))
    elif lie == "data_offsets":
        numbers = st.sampled_from([0, 4, 32, 2**40, 2**63, -1])
        one["data_offsets"] = data.draw(st.lists(numbers, min_size=2, max_size=2))
    elif lie == "name":
        head[data.draw(st.text(max_size=8))] = head.pop(names[0])
    encoded = json.dumps(head).encode()
    told = data.draw(st.sampled_from([0, 2**27, 2**63])) if lie == "size" else len(encoded)
    return struct.pack("<Q", told) + encoded + body


def attack(data: DataObject, case: Case, folder: Path) -> Path:
    """One input for a reader, written to a folder; gives what the reader is to be called with."""
    if case.name == "GGUF":
        path = folder / "x.gguf"
        path.write_bytes(mangled(data, case.stem.read_bytes()))
        return path
    head, arrays = parts_of(case.stem)
    path = folder / "x"
    kind = data.draw(st.sampled_from(["json", "twist", "twist", "tensors", "lie", "text"]))
    if kind == "json":
        return forged(path, mangled(data, json.dumps(head).encode()), arrays)
    if kind == "text":
        return forged(path, data.draw(_TEXTS), arrays)
    if kind == "tensors":
        return forged(path, head, mangled(data, arrays))
    if kind == "lie":
        return forged(path, head, safetensors_lie(data, arrays))
    try:
        return forged(path, twisted(data, head), arrays)
    except (UnicodeEncodeError, ValueError):  # no writer writes half a character
        return forged(path, b'{"a": "\\udfff"}', arrays)


@contextmanager
def watched(tally: Tally) -> Iterator[None]:
    """Refuse what takes too long, takes too much memory, or runs what a file asks for."""
    before, start = _peak(), time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    tally.slowest = max(tally.slowest, seconds)
    assert seconds < _MOST_SECONDS, f"one input took {seconds:.1f} s"
    assert _peak() - before < _MOST_MEMORY, "the memory blew up"
    assert not _BOOM.exists(), "a file was run"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def used(found: object) -> None:
    """Do with what was read what its reader's caller would do next, without a model."""
    if isinstance(found, SteeringVector):
        assert found.cosine(found) > 0.9
        found = as_steering([found, -found, found + found])
    if isinstance(found, Steering):
        assert card(found).startswith("---")
        assert json.dumps(found.doses)
        for target in ("transformers", "vllm-lens"):
            with suppress(ExportError):
                plan_export(found, target)


def one_input(data: DataObject, cases: list[Case], folder: Path, tally: Tally) -> None:
    """Give one reader one input."""
    case = data.draw(st.sampled_from(cases))
    given_to_it = attack(data, case, folder)
    said = ""
    with watched(tally):
        try:
            used(case.read(given_to_it))
        except ShiftLensError as error:
            said = str(error)
    assert len(said) < 2_000, "an error repeats what a file says at length"
    (tally.refused if said else tally.read)[case.name] += 1


def _round(count: int, number: int, cases: list[Case], folder: Path, tally: Tally) -> None:
    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def inner(data: DataObject) -> None:
        one_input(data, cases, folder, tally)

    inner()


def run(inputs: int, first: int = 0) -> Tally:
    """Give the readers that many inputs; the same ones every time.

    Args:
        inputs: how many.
        first: number of the first one; another number gives other inputs.

    Raises:
        AssertionError, or whatever a reader let through: hypothesis prints the input.
    """
    tally = Tally()
    # In memory where the system has such a place: 200,000 files are written.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as place:
        folder = Path(place)
        cases = saved(folder)

        # In rounds: the library remembers every input of one, to try none of them twice.
        for start in range(0, inputs, _ROUND):
            _round(min(_ROUND, inputs - start), first + start, cases, folder, tally)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the readers of shared files.")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="another one gives other inputs")
    chosen = parser.parse_args()
    start = time.perf_counter()
    tally = run(chosen.inputs, chosen.first)
    for name in sorted({*tally.read, *tally.refused}):
        print(f"{name:<16} read {tally.read[name]:>7}  refused {tally.refused[name]:>7}")  # noqa: T201
    seconds = time.perf_counter() - start
    print(f"{tally.inputs} inputs in {seconds:.0f} s, slowest {tally.slowest:.2f} s, no failure")  # noqa: T201


if __name__ == "__main__":
    main()
