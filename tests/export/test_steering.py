"""A steering is saved whole: what comes back does what was saved, on its own model only."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_vector
from tests.export.makers import PNG, concepts, edit, everything, forged, gates, parts_of, probe
from torch import Tensor

import shiftlens as sl
from shiftlens.core.errors import ExportError, MismatchError, SteeringError, StoreError
from shiftlens.models.model import Model
from shiftlens.steering.gates import AboutToSay, PromptSays, When
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import as_steering
from shiftlens.steering.keeping.thumbnails import Thumbnail
from shiftlens.steering.operators import Ablate, Operator
from shiftlens.steering.reading import read_interventions, read_kept, read_steering, read_vector

PROMPT = "is the dog in the picture ?"


def logits(model: Model, prompt: str = PROMPT) -> Tensor:
    ids = model.tokenizer(prompt, return_tensors="pt")
    with torch.no_grad():
        return model.hf(**ids).logits


def said(model: Model, what: Any, **options: Any) -> str:
    with sl.steer(model, what, **options):
        return model.generate(None, PROMPT, max_new_tokens=6)


def test_everything_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    whole = everything()
    whole.save(tmp_path / "a")
    again = sl.Steering.load(tmp_path / "a")
    again.save(tmp_path / "b")
    for ending in ("json", "safetensors"):
        first, second = ((tmp_path / f"{name}.{ending}").read_bytes() for name in "ab")
        assert first == second
    assert len(again.interventions) == len(whole.interventions)
    for mine, theirs in zip(whole.interventions, again.interventions, strict=True):
        assert type(mine.vector) is type(theirs.vector)
        assert mine.vector.provenance == theirs.vector.provenance
        assert (mine.strength, mine.operator, mine.layers) == (
            theirs.strength,
            theirs.operator,
            theirs.layers,
        )
        assert type(mine.gate) is type(theirs.gate)
        if mine.gate is not None and theirs.gate is not None:
            assert mine.gate.describe() == theirs.gate.describe()
    assert again.thumbnails == whole.thumbnails
    assert (again.name, again.description, again.licence) == (
        whole.name,
        whole.description,
        whole.licence,
    )
    assert again.doses == whole.doses


def test_names_of_pictures_stay_at_home(tmp_path: Path) -> None:
    everything().save(tmp_path / "a")
    assert "at-home" not in (tmp_path / "a.json").read_text()


@pytest.mark.parametrize("name", [name for name in gates() if name not in ("says", "two-pass")])
def test_a_gate_that_was_read_decides_as_before(name: str, tmp_path: Path) -> None:
    gate = gates()[name]
    sl.Steering((Intervention(build_vector(), gate=gate),)).save(tmp_path / "a")
    again = sl.Steering.load(tmp_path / "a").interventions[0].gate
    assert again is not None
    states = torch.randn(64, 32, generator=torch.Generator().manual_seed(9))
    for mine, theirs in zip(gate.leaves(), again.leaves(), strict=True):
        if isinstance(mine, PromptSays):
            assert isinstance(theirs, PromptSays)
            assert mine.words == theirs.words
        else:
            assert torch.equal(mine.opens(states), theirs.opens(states))  # pyright: ignore


def test_it_steers_as_what_it_was_made_of(tiny: Model, tmp_path: Path) -> None:
    vector = build_vector(model_of(tiny))
    parts = (
        Intervention(vector, 1.0, "all"),
        Intervention(edit(model_of(tiny)), 1.0, gate=PromptSays(("dog",))),
    )
    sl.Steering(parts).save(tmp_path / "a")
    again = sl.Steering.load(tmp_path / "a.json")
    assert said(tiny, again) == said(tiny, parts)
    with sl.steer(tiny, parts[0]):
        hooked = logits(tiny)
        tiny.generate(None, PROMPT, max_new_tokens=1)
    with sl.steer(tiny, [sl.Steering((again.interventions[0],))]):
        assert torch.equal(logits(tiny), hooked)
        tiny.generate(None, PROMPT, max_new_tokens=1)


def model_of(model: Model) -> int:
    return model.address.d


def test_words_about_to_be_said_are_bound_to_the_model_that_is_steered(
    tiny: Model, tmp_path: Path
) -> None:
    gate = AboutToSay.of(tiny, "dog", "man", or_to_end=True)
    parts = (Intervention(build_vector(layer=3), 1.0, gate=gate | PromptSays(("nothing",))),)
    sl.Steering(parts).save(tmp_path / "a")
    again = sl.Steering.load(tmp_path / "a")
    leaf = again.interventions[0].gate
    assert leaf is not None
    with pytest.raises(SteeringError, match="no model to read them with"):
        leaf.leaves()[0].opens(torch.zeros(1, 32))  # pyright: ignore
    assert said(tiny, again) == said(tiny, parts)
    other = replace(leaf.leaves()[0], token_ids=frozenset([5]))  # pyright: ignore
    with pytest.raises(MismatchError, match="by other tokens"):
        said(tiny, Intervention(build_vector(layer=3), gate=other))


def test_a_steering_of_another_model_is_refused(tiny: Model, tmp_path: Path) -> None:
    foreign = build_vector(provenance={"model": {"weights": "of another"}})
    as_steering(foreign).save(tmp_path / "a")
    with pytest.raises(MismatchError, match="comes from other weights"):
        said(tiny, sl.Steering.load(tmp_path / "a"))
    as_steering(build_vector(48)).save(tmp_path / "b")
    with pytest.raises(MismatchError, match="has 48 entries"):
        said(tiny, sl.Steering.load(tmp_path / "b"))
    as_steering(build_vector(layer=9)).save(tmp_path / "c")
    with pytest.raises(sl.ShiftLensError, match="has 4 blocks"):
        said(tiny, sl.Steering.load(tmp_path / "c"))


def test_programs_are_not_saved(tmp_path: Path) -> None:
    class Mine(Operator):
        name = "mine"

        def _change(self, states: Tensor, direction: Tensor, strength: float) -> Tensor:
            return states

    program = When(lambda reading: torch.ones(reading.rows, dtype=torch.bool))
    for one, message in (
        (Intervention(build_vector(), gate=program & PromptSays(("a",))), "is a program"),
        (Intervention(build_vector(), operator=Mine()), "a class of yours"),
    ):
        with pytest.raises(ExportError, match=message):
            sl.Steering((one,)).save(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_doses_bound_what_engines_add() -> None:
    vector = build_vector(length=6.0, state_norm=12.0)
    whole = sl.Steering((Intervention(vector, -2.0), Intervention(vector, operator=Ablate())))
    first, second = whole.doses
    assert first["dose"] == pytest.approx(1.0)
    assert first["push"] == pytest.approx(12.0)
    assert (first["state_norm"], first["layer"]) == (12.0, 1)
    assert second["dose"] is None


def test_a_vector_of_schema_1_is_still_read(tmp_path: Path) -> None:
    build_vector().save(tmp_path / "new")
    head, arrays = parts_of(tmp_path / "new")
    for key in ("description", "licence"):
        del head["data"][key]
    del head["data_sha256"]
    old = {**head, "schema": 1}
    (tmp_path / "old.json").write_text(json.dumps(old))
    (tmp_path / "old.safetensors").write_bytes(arrays)
    again = sl.SteeringVector.load(tmp_path / "old")
    assert torch.equal(again.direction, build_vector().direction)
    assert (again.description, again.licence) == ("", "")


def test_a_vector_keeps_description_and_licence(tmp_path: Path) -> None:
    vector = build_vector(description="dogs", licence="mit")
    vector.save(tmp_path / "v")
    again = sl.SteeringVector.load(tmp_path / "v")
    assert (again.description, again.licence) == ("dogs", "mit")
    assert (again * 2).licence == "mit"
    assert (again + build_vector(licence="cc0-1.0")).licence == ""
    assert as_steering(again).licence == "mit"


def test_what_is_typed_takes_a_steering(tiny: Model, tmp_path: Path) -> None:
    everything().save_folder(tmp_path / "folder")
    kept = read_kept(tmp_path / "folder")
    assert isinstance(kept, sl.Steering)
    found = read_interventions(tiny, [tmp_path / "folder"], strength=2.0)
    assert [one.strength for one in found] == [2 * one.strength for one in kept.interventions]
    with pytest.raises(SteeringError, match="brings its own gates"):
        read_interventions(tiny, [tmp_path / "folder"], gates=["prompt:dog"])
    with pytest.raises(SteeringError, match="brings its own gates, scopes"):
        read_interventions(tiny, [tmp_path / "folder"], scope="all")
    with pytest.raises(SteeringError, match="brings its own gates, scopes"):
        read_steering([tmp_path / "folder"], scope="response")
    with pytest.raises(StoreError, match="a whole steering"):
        read_vector(tmp_path / "folder")
    whole = read_steering([tmp_path / "folder"], strength=0.5)
    assert whole.name == "one of everything"
    assert whole.interventions[0].strength == 0.75
    build_vector().save(tmp_path / "v")
    both = read_steering([tmp_path / "folder" / "steering.json", tmp_path / "v"])
    assert len(both.interventions) == len(kept.interventions) + 1
    assert both.interventions[-1].scope == "all"


def test_a_folder_has_a_card_that_the_hub_reads(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    vector = build_vector(
        name="dogs | <b>cats</b>",
        provenance={"model": {"model": "some-org/some-model", "weights": "w"}},
    )
    local = build_vector(provenance={"model": {"model": "/home/me/model", "weights": "w"}})
    whole = sl.Steering(
        (Intervention(vector, 1.0, gate=probe()), Intervention(local)),
        name="more dogs",
        description="Line one.\n---\nlicense: evil",
        licence="apache-2.0",
        thumbnails=(Thumbnail(PNG, "a dog"),),
    )
    root = whole.save_folder(tmp_path / "folder")
    names = {"README.md", "steering.json", "steering.safetensors", "thumbnail-0.png"}
    assert {path.name for path in root.iterdir()} == names
    card = ModelCard.load(root / "README.md")
    assert card.data.to_dict() == {
        "license": "apache-2.0",
        "library_name": "shiftlens",
        "base_model": ["some-org/some-model"],
        "tags": ["shiftlens", "steering-vector", "activation-steering"],
    }
    assert "/home/me" not in card.content
    assert r"dogs \| \<b\>cats\</b\>" in card.content
    assert (root / "thumbnail-0.png").read_bytes() == PNG
    assert sl.Steering.load(root).name == "more dogs"


@pytest.mark.parametrize(
    "licence", ["", "mit", "other", 'x"\nbase_model: evil', "- a", "'", "#", "\\", "x: y"]
)
def test_no_text_breaks_out_of_the_cards_front_matter(licence: str, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    whole = sl.Steering((Intervention(build_vector()),), name="---", licence=licence)
    card = ModelCard.load(whole.save_folder(tmp_path) / "README.md")
    assert (card.data.license or "") == licence
    assert "base_model" not in card.data.to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["interventions"].clear(), "no vector"),
        (lambda data: data.update(interventions={}), "is {}"),
        (lambda data: data.update(more=1), "which nothing reads"),
        (lambda data: data["interventions"][0].update(strength="1"), "a number"),
        (lambda data: data["interventions"][0].update(strength=True), "a number"),
        (lambda data: data["interventions"][0].update(type="pickle"), "vector, affine edit"),
        (lambda data: data["interventions"][0].update(operator={"operator": "x"}), "add, "),
        (lambda data: data["interventions"][0].update(layers=[1, 1]), "each once"),
        (lambda data: data["interventions"][0].update(scope={"scope": "here"}), "unknown scope"),
        (lambda data: data["interventions"][0].update(gate={"gate": "exec"}), "unknown kind"),
        (lambda data: data["interventions"][0]["vector"].pop("site"), "no 'site'"),
        (lambda data: data["interventions"][0]["vector"].update(name="a\x1b[2J"), "control"),
        (lambda data: data.update(name="x" * 2_000_000), "letters"),
        (lambda data: data.update(thumbnails=["a", "b"]), "thumbnail is missing"),
    ],
)
def test_parts_of_the_wrong_kind_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    everything().save(tmp_path / "a")
    head, arrays = parts_of(tmp_path / "a")
    change(head["data"])
    forged(tmp_path / "b", head, arrays)
    with pytest.raises(sl.ShiftLensError, match=message) as caught:
        sl.Steering.load(tmp_path / "b")
    assert len(str(caught.value)) < 1000


def test_gates_nested_without_end_are_refused(tmp_path: Path) -> None:
    gate = PromptSays(("dog",))
    sl.Steering((Intervention(build_vector(), gate=gate),)).save(tmp_path / "a")
    head, arrays = parts_of(tmp_path / "a")
    told = head["data"]["interventions"][0]
    for _ in range(20):
        told["gate"] = {"gate": "not", "of": told["gate"]}
    forged(tmp_path / "b", head, arrays)
    with pytest.raises(StoreError, match="more than 16 deep"):
        sl.Steering.load(tmp_path / "b")


@pytest.mark.parametrize(
    ("parts", "fields", "message"),
    [
        ((Intervention(build_vector(), float("nan")),), {}, "finite number"),
        ((Intervention(build_vector(), layers=(1, 1)),), {}, "each once|the layers"),
        ((Intervention(build_vector(), layers=()),), {}, "the layers"),
        ((Intervention(edit(), operator=Ablate()),), {}, "beside an affine edit"),
        ((Intervention(build_vector()),) * 1001, {}, "1001 interventions"),
        ((Intervention(build_vector()),), {"name": "a\x1b[2J"}, "control characters"),
        ((Intervention(build_vector()),), {"description": "x" * 100_001}, "letters"),
        ((Intervention(build_vector()),), {"provenance": {"by": object()}}, "serializable"),
        ((Intervention(build_vector()),), {"provenance": {"by": "\ud800"}}, "surrogates"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_could_not_be_read_again_is_not_written(
    parts: Any, fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=message) as caught:
        sl.Steering(parts, **fields).save(tmp_path / "a")
    assert "could not be read again" in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not list(tmp_path.iterdir())


def test_concepts_of_a_gate_are_held_to_their_kind(tmp_path: Path) -> None:
    some = concepts()
    some.save(tmp_path / "c")
    assert torch.equal(sl.Concepts.load(tmp_path / "c").vectors, some.vectors)
    head, arrays = parts_of(tmp_path / "c")
    for change, message in (
        ({"sizes": [1, 2]}, "3 concepts with 2 sizes"),
        ({"words": "abc"}, "a list"),
        ({"words": [["a"], ["b"]]}, "2 lists of words"),
        ({"sizes": [1, 2, "x"]}, "whole number|fit together"),
        ({"site": {"layer": "x", "tokens": {}}}, "unknown selection"),
        ({"kind": "magic"}, "unknown kind"),
        ({"encoder": {"name": "os.system"}}, "unknown encoder"),
    ):
        forged(tmp_path / "d", {**head, "data": {**head["data"], **change}}, arrays)
        with pytest.raises(sl.ShiftLensError, match=message):
            sl.Concepts.load(tmp_path / "d")
