"""Gates as JSON and tensors, combinations among them; what reads a model is bound to it later."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from shiftlens.activations.selections.reading import selection_from
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.files import direction_of, provenance_of, refusing
from shiftlens.core.errors import ExportError, StoreError
from shiftlens.core.fields import Fields
from shiftlens.steering.gates import (
    AboutToSay,
    Active,
    Gate,
    Joint,
    LinearGate,
    NearestConcept,
    Not,
    PromptSays,
    StateGate,
    TwoPassGate,
)
from shiftlens.steering.gates.fitting import HeldOut
from shiftlens.steering.keeping.parts import Tensors, below, under
from shiftlens.steering.whitening import Whitening

_DEEPEST = 16
"""Combinations of combinations that are read."""


def gate_data(gate: Gate) -> tuple[dict[str, Any], Tensors]:
    """A gate as JSON and tensors.

    Raises:
        ExportError: a gate of the user's own, or one made of a function: files hold no programs.
    """
    if type(gate) is Joint:
        parts = [gate_data(part) for part in gate.gates]
        tensors = {
            key: one for at, (_, own) in enumerate(parts) for key, one in under(str(at), own)
        }
        return {"gate": gate.kind, "of": [data for data, _ in parts]}, tensors
    if type(gate) is Not:
        data, tensors = gate_data(gate.gate)
        return {"gate": "not", "of": data}, dict(under("of", tensors))
    if type(gate) is TwoPassGate:
        data, tensors = gate_data(gate.inner)
        tokens = None if gate.tokens is None else gate.tokens.describe()
        return {"gate": "two-pass", "of": data, "tokens": tokens}, dict(under("of", tensors))
    return _leaf(gate)


def _leaf(gate: Gate) -> tuple[dict[str, Any], Tensors]:
    if type(gate) is PromptSays:
        return {"gate": "prompt says", "words": list(gate.words)}, {}
    if type(gate) is AboutToSay:
        told = {
            "gate": "about to say",
            "words": list(gate.words),
            "token_ids": sorted(gate.token_ids),
            "layer": gate.layer,
            "every_step": gate.every_step,
        }
        return told, {}
    if type(gate) is LinearGate:
        return {"gate": "linear", **gate.to_data()}, gate.tensors()
    if type(gate) is Active:
        return _active(gate)
    if type(gate) is NearestConcept:
        return _nearest(gate)
    raise ExportError(
        f"the gate {gate.describe().get('gate')!r} ({type(gate).__name__}) is a program, and files "
        "hold none",
        allowed="PromptSays, AboutToSay, LDA, LogisticProbe, Active, NearestConcept, TwoPassGate; "
        "with &, | and ~",
        remedy="or keep the intervention without it, and give the gate where you steer",
    )


def _active(gate: Active) -> tuple[dict[str, Any], Tensors]:
    data, tensors = _concepts(gate.concepts)
    if gate.centre is not None:
        tensors["centre"] = gate.centre
    return {
        "gate": "concept active",
        "concepts": data,
        "concept": gate.concept,
        "threshold": gate.threshold,
        "measure": gate.measure,
        "held_out": gate.held_out and gate.held_out.to_dict(),
        "every_step": gate.every_step,
    }, tensors


def _nearest(gate: NearestConcept) -> tuple[dict[str, Any], Tensors]:
    data, tensors = _concepts(gate.concepts)
    if gate.whitening is not None:
        tensors["whitening"] = gate.whitening.matrix
    return {
        "gate": "nearest concept",
        "concepts": data,
        "chosen": sorted(gate.chosen),
        "every_step": gate.every_step,
    }, tensors


def _concepts(concepts: Concepts) -> tuple[dict[str, Any], Tensors]:
    """What a gate needs of concepts: names of pictures stay at home."""
    data = {**concepts.to_data(), "images": [], "neighbours": []}
    return data, dict(under("concepts", concepts.tensors()))


def gate_from(data: Fields, tensors: Mapping[str, Tensor], depth: int = 0) -> Gate:
    """The gate that ``gate_data`` wrote; words about to be said are bound to a model later.

    Raises:
        StoreError: something is missing, of the wrong kind, or nested too deeply.
    """
    if depth > _DEEPEST:
        raise StoreError(f"{data.where} combines gates more than {_DEEPEST} deep")
    kind = data.text("gate")
    if kind in ("and", "or"):
        parts = [
            gate_from(Fields(one, f"gate {at} of {data.where}"), below(str(at), tensors), depth + 1)
            for at, one in enumerate(data.items("of"))
        ]
        if len(parts) < 2:
            raise StoreError(f"{data.where} combines {len(parts)} gates", allowed="2 or more")
        found: Gate = Joint(kind, tuple(parts))
    elif kind == "not":
        found = Not(gate_from(data.inner("of"), below("of", tensors), depth + 1))
    elif kind == "two-pass":
        found = _two_pass(data, tensors, depth)
    else:
        found = _leaf_from(kind, data, tensors)
    data.done()
    return found


def _two_pass(data: Fields, tensors: Mapping[str, Tensor], depth: int) -> Gate:
    inner, tokens = (
        gate_from(data.inner("of"), below("of", tensors), depth + 1),
        data.take("tokens"),
    )
    with refusing(data.where):
        selection = None if tokens is None else selection_from(tokens)
    if not isinstance(inner, StateGate):
        raise StoreError(f"{data.where} looks at a gate that reads no state")
    return TwoPassGate(inner, selection)


def _leaf_from(kind: str, data: Fields, tensors: Mapping[str, Tensor]) -> Gate:
    if kind == "prompt says":
        return PromptSays(data.texts("words"))
    if kind == "about to say":
        return AboutToSay(
            data.texts("words"),
            frozenset(data.wholes("token_ids")),
            None,
            data.whole("layer"),
            data.flag("every_step"),
        )
    if kind == "linear":
        return LinearGate.from_data(tensors, data)
    if kind == "concept active":
        return _active_from(data, tensors)
    if kind == "nearest concept":
        concepts, chosen = _concepts_from(data, tensors), data.wholes("chosen")
        _require_concepts(data, concepts, chosen)
        whitening = None
        if "whitening" in tensors:
            whitening = Whitening(_square(tensors, concepts.d, data))
        return NearestConcept(concepts, frozenset(chosen), whitening, data.flag("every_step"))
    raise StoreError(f"{data.where} is a gate of the unknown kind {kind!r}")


def _active_from(data: Fields, tensors: Mapping[str, Tensor]) -> Active:
    concepts, concept = _concepts_from(data, tensors), data.whole("concept")
    _require_concepts(data, concepts, (concept,))
    held_out = data.take("held_out")
    centre = direction_of(tensors, "centre", data.where) if "centre" in tensors else None
    if centre is not None and len(centre) != concepts.d:
        raise StoreError(f"the centre of {data.where} has {len(centre)} entries")
    return Active(
        concepts,
        concept,
        data.number("threshold"),
        data.text("measure"),
        centre,
        None
        if held_out is None
        else HeldOut.from_data(Fields(held_out, f"held_out of {data.where}")),
        data.flag("every_step"),
    )


def _concepts_from(data: Fields, tensors: Mapping[str, Tensor]) -> Concepts:
    told = data.object("concepts")
    provenance_of(Fields(told, f"concepts of {data.where}"))
    with refusing(data.where):
        concepts = Concepts.from_data(below("concepts", tensors), told)
        concepts.require_whole(data.where)
    if len(concepts.site.layers) != 1:
        raise StoreError(f"the concepts of {data.where} are of {len(concepts.site.layers)} layers")
    return concepts


def _require_concepts(data: Fields, concepts: Concepts, chosen: tuple[int, ...]) -> None:
    if not chosen or max(chosen) >= concepts.k:
        raise StoreError(f"{data.where} reads the concepts {chosen}, of {concepts.k}")


def _square(tensors: Mapping[str, Tensor], d: int, data: Fields) -> Tensor:
    matrix = direction_of(tensors, "whitening", data.where, dims=2)
    if matrix.shape != (d, d):
        raise StoreError(f"the whitening of {data.where} is {tuple(matrix.shape)}, not ({d}, {d})")
    return matrix
