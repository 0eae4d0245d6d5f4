"""Steerings that hold one of everything, and files that are wrong on purpose."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tests.builders import build_vector
from torch import Tensor

from shiftlens.activations.site import Site
from shiftlens.activations.tokens import last_prompt
from shiftlens.concepts.concepts import Concepts
from shiftlens.core.manifest import digest
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.gates import (
    AboutToSay,
    Active,
    Gate,
    LinearGate,
    NearestConcept,
    PromptSays,
    TwoPassGate,
)
from shiftlens.steering.gates.fitting import HeldOut
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import Steering
from shiftlens.steering.keeping.thumbnails import Thumbnail
from shiftlens.steering.operators import Ablate, Add, AddKeepingNorm, MoveTo
from shiftlens.steering.scopes import image, patches, words
from shiftlens.steering.whitening import Whitening

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def edit(d: int = 32, *, layer: int = 2, clipped: bool = True, **fields: Any) -> AffineEdit:
    return AffineEdit(
        numbers(d, 2, seed=1) * 0.5,
        numbers(2, d, seed=2) * 0.1,
        numbers(d, seed=3),
        clipped,
        Site(layer),
        "an edit",
        "LEACE",
        3.0,
        **fields,
    )


def probe(d: int = 32, *, layer: int = 0) -> LinearGate:
    return LinearGate(numbers(d, seed=4), 0.25, layer, HeldOut(0.9, 0.1, 40), "lda")


def concepts(d: int = 32, *, k: int = 3) -> Concepts:
    return Concepts(
        numbers(k, d, seed=5),
        "centroid",
        Site(1),
        (4, 5, 6),
        words=(("dog",), ("cat",), ("bus",)),
        images=(("at-home/a.png",), ("b.png",), ("c.png",)),
    )


def gates(d: int = 32) -> dict[str, Gate]:
    """One of each kind, none of which needs a model to be made."""
    some = concepts(d)
    return {
        "prompt": PromptSays(("dog", "gun")),
        "says": AboutToSay(("dog",), frozenset([7, 9]), None, 3, every_step=False),
        "probe": probe(d),
        "active": Active(some, 1, 0.1, centre=numbers(d, seed=6), held_out=HeldOut(1.0, 0.0, 9)),
        "code": Active(some, 2, 0.5, "code", every_step=True),
        "nearest": NearestConcept(some, frozenset([0, 2]), Whitening(torch.eye(d) * 2)),
        "plain nearest": NearestConcept(some, frozenset([1])),
        "two-pass": TwoPassGate(probe(d, layer=3), last_prompt()),
        "combined": (probe(d) | PromptSays(("dog",))) & ~Active(some, 0, 0.3),
    }


def everything(d: int = 32) -> Steering:
    """Every kind of operator, scope, gate and layer."""
    vector = build_vector(d, description="towards dogs", licence="mit")
    parts = [
        Intervention(vector, 1.5),
        Intervention(vector, 0.5, "all", operator=Add(), layers=(0, -1)),
        Intervention(vector, -1.0, "generated", operator=AddKeepingNorm()),
        Intervention(vector, 1.0, image(1), operator=Ablate()),
        Intervention(vector, 1.0, patches(0, 0, 1 / 3, 1, picture=1), operator=MoveTo(1 / 7)),
        Intervention(vector, 1.0, words("dog", "red bus", where="prompt")),
        Intervention(edit(d), 1.0, "last_prompt"),
        *(Intervention(vector, 1.0, gate=gate) for gate in gates(d).values()),
    ]
    return Steering(
        tuple(parts),
        name="one of everything",
        description="It is for tests.",
        licence="apache-2.0",
        provenance={"made by": "hand"},
        thumbnails=(Thumbnail(PNG, "a dog"),),
    )


def forged(path: Path, head: dict[str, Any] | bytes, tensors: dict[str, Tensor] | bytes) -> Path:
    """Two files whose checksums are right, whatever is in them: what an attacker would send."""
    arrays = path.with_name(f"{path.name}.safetensors")
    if isinstance(tensors, bytes):
        arrays.write_bytes(tensors)
    else:
        save_file(tensors, arrays)
    if isinstance(head, dict):
        right = {"sha256": hashlib.sha256(arrays.read_bytes()).hexdigest()}
        data = {"data_sha256": digest(head["data"])} if "data" in head else {}
        head = json.dumps({**head, **right, **data}).encode()
    path.with_name(f"{path.name}.json").write_bytes(head)
    return path


def parts_of(path: Path) -> tuple[dict[str, Any], bytes]:
    """Head and tensors of a saved result, to be changed and forged again."""
    head = json.loads(path.with_name(f"{path.name}.json").read_text())
    return head, path.with_name(f"{path.name}.safetensors").read_bytes()
