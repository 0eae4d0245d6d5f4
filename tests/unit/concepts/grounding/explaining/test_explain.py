"""One answer explained: the states are those of a harvest, and what does not fit is refused."""

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import shiftlens as sl
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.explaining import explain
from shiftlens.concepts.grounding.explaining.explanation import Explanation
from shiftlens.core.errors import (
    DataError,
    GroundingError,
    MismatchError,
    ShiftLensError,
    SiteError,
)
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model

_K = 4


def _vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _concepts(
    model: Model, site: sl.Site | None = None, *, kind: str = "centroid", **fields: Any
) -> Concepts:
    words = tuple((f"plain{at}", "shared") for at in range(_K))
    told = tuple((f"word{at}", f"other{at}") for at in range(_K))
    options: dict[str, Any] = {
        "provenance": {"model": model.identity},
        "words": words,
        "contrastive": told,
        "images": tuple((f"q{at}", "nowhere") for at in range(_K)),
        **fields,
    }
    site = (site or sl.Site(2, sl.tokens.response())).resolve(model)
    return Concepts(_vectors(_K, 32), kind, site, (9,) * _K, **options)


def _harvest(model: Model, sample: Sample, site: sl.Site, out: Path) -> ActivationStore:
    return sl.harvest(model, Samples([sample]), site, out, max_new_tokens=8)


@pytest.mark.parametrize("alignment", ["predict", "read"])
@pytest.mark.parametrize("kind", ["centroid", "direction"])
def test_the_states_are_those_of_a_harvest(
    tiny: Model, questions: list[Sample], tmp_path: Path, alignment: Any, kind: str
) -> None:
    """One token a word: the words' states are the response's, one by one."""
    site = sl.Site(2, sl.tokens.response(alignment=alignment))
    concepts = _concepts(tiny, site, kind=kind)
    found = explain(tiny, questions[0], None, concepts, max_new_tokens=8, n_maps=0)
    states = _harvest(tiny, questions[0], site, tmp_path / "s").states().float()
    expected = concepts.encode(states) if kind == "direction" else -concepts.distances(states)
    kept = [one.position - (alignment == "read") for one in found.words if one.concepts]
    rows = [at for at, one in enumerate(found.words) if one.concepts]
    assert len(rows) >= 5
    torch.testing.assert_close(found.activations[rows], expected[kept], atol=1e-4, rtol=1e-4)
    top = [one.top.concept for one in found.words if one.top]
    if kind == "centroid":
        assert top == expected[kept].argmax(dim=1).tolist()


def test_the_site_of_a_word_and_states_behind_the_norm(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    site = sl.Site(3, sl.tokens.word("person"), normed=True)
    concepts = _concepts(tiny, site)
    found = explain(tiny, questions[0], None, concepts, max_new_tokens=8, n_maps=0)
    states = _harvest(tiny, questions[0], site, tmp_path / "s").states().float()
    one = found.word("PERSON")
    assert one.where == "at the site"
    row = found.words.index(one)
    torch.testing.assert_close(
        -found.activations[row], concepts.distances(states)[0], atol=1e-4, rtol=1e-4
    )
    others = [word for word in found.words if word is not one]
    assert {word.where for word in others} <= {"outside", "same word"}
    assert all("read with care" in word.note for word in others if word.where == "outside")


def test_twin_without_the_norm_the_states_are_others(tiny: Model, questions: list[Sample]) -> None:
    sites = [sl.Site(3, sl.tokens.word("person"), normed=flag) for flag in (True, False)]
    behind, before = (
        explain(tiny, questions[0], None, _concepts(tiny, site), max_new_tokens=8, n_maps=0)
        for site in sites
    )
    assert not torch.allclose(behind.activations, before.activations, atol=1e-2)


def test_a_given_answer_has_the_states_of_the_same_answer_said(
    brief: Model, questions: list[Sample]
) -> None:
    concepts = _concepts(brief)
    own = explain(brief, questions[0], None, concepts, max_new_tokens=20, n_maps=0)
    assert not own.truncated
    given = explain(brief, questions[0], None, concepts, response=own.response, n_maps=0)
    assert [one.text for one in given.words] == [one.text for one in own.words]
    torch.testing.assert_close(given.activations, own.activations, atol=1e-3, rtol=1e-4)
    other = explain(brief, questions[0], None, concepts, response="a red dog .", n_maps=0)
    assert [one.text for one in other.words] == ["a", "red", "dog"]


def test_the_last_word_of_a_cut_answer_was_never_read(tiny: Model, questions: list[Sample]) -> None:
    concepts = _concepts(tiny, sl.Site(1, sl.tokens.response(alignment="read")))
    found = explain(tiny, questions[0], None, concepts, max_new_tokens=4, n_maps=0)
    assert found.truncated
    last = found.words[-1]
    assert last.concepts == ()
    assert last.top is None
    assert "cut off" in last.note
    assert bool(found.activations[-1].isnan().all())
    assert not bool(found.activations[:-1].isnan().any())


def test_any_script(byte_model: Model, questions: list[Sample]) -> None:
    concepts = _concepts(byte_model, sl.Site(2, sl.tokens.word("狗")))
    found = explain(byte_model, questions[0], None, concepts, response="一只狗, कुत्ता！", n_maps=0)
    assert [one.text for one in found.words] == ["一", "只", "狗", "कुत्ता"]
    assert found.word("狗").where == "at the site"
    assert found.word("狗").position == len("一只".encode())


def test_a_path_an_open_picture_and_a_sample_are_the_same(
    tiny: Model, questions: list[Sample]
) -> None:
    concepts, sample = _concepts(tiny), questions[1]
    path = sample.images[0]
    with Image.open(path) as picture:
        asked = [sample, path, Path(path), picture.convert("RGB")]
    found = [
        explain(tiny, one, None if one is sample else sample.prompt, concepts, max_new_tokens=6)
        for one in asked
    ]
    for other in found[1:]:
        assert torch.equal(other.activations, found[0].activations)
        assert len(other.heat_maps) == len(found[0].heat_maps) > 0


def test_heat_maps_are_of_the_chosen_words_first(tiny: Model, questions: list[Sample]) -> None:
    concepts, sample = _concepts(tiny), questions[0]
    every = explain(tiny, sample, None, concepts, max_new_tokens=8, n_maps=_K)
    for word in every.words:
        if word.top is None or every.word(word.text) is not word:
            continue
        one = explain(
            tiny, sample, None, concepts, max_new_tokens=8, words=[word.text.upper()], n_maps=1
        )
        assert [heat.concept for heat in one.heat_maps] == [word.top.concept]
    with pytest.raises(GroundingError, match=r"does not say 'umbrella'\n  it says: .*person"):
        explain(tiny, sample, None, concepts, max_new_tokens=8, words=["person", "umbrella"])


def test_text_alone_has_no_heat_maps(tiny: Model) -> None:
    found = explain(tiny, None, "what is a dog ?", _concepts(tiny), max_new_tokens=5)
    assert found.heat_maps == found.pictures == ()
    assert found.words


def test_pictures_of_concepts_are_found_by_their_samples(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    concepts = _concepts(tiny)
    store = sl.harvest(tiny, Samples(questions), concepts.site, tmp_path / "s", max_new_tokens=5)
    options: dict[str, Any] = {"max_new_tokens": 5, "n_maps": 0}
    bare = explain(tiny, questions[0], None, concepts, **options)
    named = explain(tiny, questions[0], None, concepts, samples=Samples(questions), **options)
    held = explain(tiny, questions[0], None, concepts, store=store, **options)
    index = bare.concepts[0].index
    assert bare.concept(index).images == ((f"q{index}", None), ("nowhere", None))
    path = questions[index].images[0]
    for one in (named, held):
        assert one.concept(index).images == ((f"q{index}", path), ("nowhere", None))
    assert bare.calibration is None
    assert held.calibration == {"rows": len(store), "held_out": True}
    assert {one.active for word in bare.words for one in word.concepts} == {None}
    with pytest.raises(GroundingError, match="named at no word"):
        bare.concept(_K)


def test_it_is_saved_as_json_and_pictures(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    found = explain(tiny, questions[0], None, _concepts(tiny), max_new_tokens=6, n_maps=2)
    folder = found.save(tmp_path / "out")
    document = json.loads((folder / "explanation.json").read_text())
    assert document == json.loads(json.dumps(found.to_dict()))
    assert (document["kind"], document["schema"]) == ("explanation", 1)
    files = [*document["pictures"], *(one["file"] for one in document["heat_maps"])]
    assert {path.name for path in folder.iterdir()} == {"explanation.json", *files}
    with Image.open(folder / files[0]) as plain, Image.open(folder / files[1]) as heat:
        assert plain.size == found.pictures[0].size
        # Without a legend, so that it lies on the picture as it is.
        assert heat.width / plain.width == heat.height / plain.height
    for word in document["words"]:
        assert document["response"][word["start"] : word["end"]] == word["text"]


def test_saved_again_it_takes_its_own_old_files_away_and_no_others(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"max_new_tokens": 6, "check": False, "method": "projection"}
    many = explain(tiny, questions[0], None, _concepts(tiny), n_maps=2, **options)
    few = replace(many, heat_maps=many.heat_maps[:1])
    assert len(many.heat_maps) == 2
    kept, stale = (_file(one) for one in many.heat_maps)
    folder = many.save(tmp_path / "out")
    others = ("heat-7-concept-7.png", "explanation.html", "notes.txt", f"my-{stale}")
    for name in others:
        (folder / name).write_text("not ours")
    (tmp_path / "secret").write_text("not ours either")
    few.save(folder)
    assert {one.name for one in folder.iterdir()} == {
        "explanation.json",
        "picture-0.png",
        kept,
        *others,
    }
    replace(few, heat_maps=(), pictures=()).save(folder)
    assert {one.name for one in folder.iterdir()} == {"explanation.json", *others}


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "explanation", "pictures": ["../secret", "notes.txt", 3], "heat_maps": [{}, None]},
        {"kind": "explanation", "heat_maps": [{"file": "../heat-0-concept-0.png"}]},
        {"kind": "other", "pictures": ["picture-0.png", "picture-9.png"]},
        {"kind": "explanation", "pictures": None, "heat_maps": None},
        ["picture-9.png"],
        None,
    ],
)
def test_a_document_that_names_what_save_never_writes_takes_nothing_away(
    tiny: Model, questions: list[Sample], tmp_path: Path, document: Any
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    files = [tmp_path / "secret", tmp_path / "heat-0-concept-0.png", folder / "notes.txt"]
    for path in (*files, folder / "picture-9.png"):
        path.write_text("not ours")
    text = "{ broken" if document is None else json.dumps(document)
    (folder / "explanation.json").write_text(text)
    explain(tiny, questions[0], None, _concepts(tiny), response="a dog", n_maps=0).save(folder)
    assert all(path.exists() for path in (*files, folder / "picture-9.png"))
    assert json.loads((folder / "explanation.json").read_text())["kind"] == "explanation"


def _file(one: Any) -> str:
    return f"heat-{one.picture}-concept-{one.concept}.png"


def test_it_shows_itself_in_one_line(tiny: Model, questions: list[Sample]) -> None:
    found: Explanation = explain(
        tiny, questions[0], None, _concepts(tiny), response="a dog .", n_maps=0
    )
    tops = [one.top.concept for one in found.words if one.top]
    assert repr(found) == f"Explanation('a dog .', a: {tops[0]}, dog: {tops[1]})"


@pytest.mark.parametrize(
    ("field", "value"),
    [("weights", "others"), ("adapter_weights", "some"), ("architecture", "Other")],
)
def test_concepts_of_another_model_are_refused_by_the_field(
    tiny: Model, questions: list[Sample], field: str, value: str
) -> None:
    about = {"model": {**tiny.identity, field: value}}
    with pytest.raises(MismatchError, match=f"another model: {field} is '{value}'"):
        explain(tiny, questions[0], None, _concepts(tiny, provenance=about))


def test_what_does_not_make_another_model_is_a_note(tiny: Model, questions: list[Sample]) -> None:
    about = {"model": {**tiny.identity, "dtype": "bfloat16", "generation": "other"}}
    options: dict[str, Any] = {"response": "a dog", "n_maps": 0}
    found = explain(tiny, questions[0], None, _concepts(tiny, provenance=about), **options)
    assert found.notes == ("dtype is 'float32' here and was 'bfloat16'",)
    found = explain(tiny, questions[0], None, _concepts(tiny, provenance={}), **options)
    assert "that was not checked" in found.notes[0]


def test_what_does_not_fit_is_refused(tiny: Model, questions: list[Sample], tmp_path: Path) -> None:
    sample, concepts = questions[0], _concepts(tiny)
    wide = replace(concepts, vectors=_vectors(_K, 33))
    with pytest.raises(MismatchError, match=r"width 33 do not fit .*\n  width 32"):
        explain(tiny, sample, None, wide)
    bare = replace(concepts, words=(), contrastive=())
    with pytest.raises(GroundingError, match=r"no words\n.*\n.*shiftlens ground"):
        explain(tiny, sample, None, bare)
    deep = replace(concepts, site=sl.Site(9, sl.tokens.response()))
    with pytest.raises(SiteError, match="layer 9"):
        explain(tiny, sample, None, deep)
    seeing = replace(concepts, site=sl.Site(0, sl.tokens.mean_image(), tower="vision"))
    with pytest.raises(MismatchError, match="vision tower"):
        explain(tiny, sample, None, seeing)
    for layer, tokens, key in ((2, sl.tokens.last_prompt(), "tokens"), (1, None, "layer")):
        site = sl.Site(layer, tokens or sl.tokens.response())
        store = _harvest(tiny, sample, site, tmp_path / key)
        with pytest.raises(MismatchError, match=f"another {key} than the concepts"):
            explain(tiny, sample, None, concepts, store=store)


@pytest.mark.parametrize("response", ["", " . , "])
def test_an_answer_without_words_is_refused(
    tiny: Model, questions: list[Sample], response: str
) -> None:
    with pytest.raises(DataError, match="the answer holds no words"):
        explain(tiny, questions[0], None, _concepts(tiny), response=response)


def test_pictures_and_prompts_that_are_not_there(tiny: Model, tmp_path: Path) -> None:
    concepts = _concepts(tiny)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for name, problem in (("broken.png", "not a picture"), ("absent.png", "does not exist")):
        with pytest.raises(DataError, match=problem):
            explain(tiny, tmp_path / name, "what ?", concepts)
    with pytest.raises(DataError, match="nothing is asked"):
        explain(tiny, None, None, concepts)


@pytest.mark.parametrize("name", ["n_concepts", "n_words", "n_images", "n_maps"])
def test_counts_are_counts(tiny: Model, questions: list[Sample], name: str) -> None:
    options: dict[str, Any] = {name: -1}
    with pytest.raises(GroundingError, match=f"{name} is -1"):
        explain(tiny, questions[0], None, _concepts(tiny), **options)


def test_concepts_without_a_word_of_one_kind(tiny: Model, questions: list[Sample]) -> None:
    """Neither list is needed where another one is there; nor need every concept have words."""
    lists = ((), ("only",), (), ())
    concepts = _concepts(tiny, words=(), contrastive=(), images=(), neighbours=lists)
    found = explain(tiny, questions[0], None, concepts, response="a dog", n_maps=0)
    index = found.concepts[0].index
    assert found.concept(index).words == found.concept(index).images == ()
    assert found.concept(index).neighbours == lists[index]


def test_paths_of_concepts_and_store_are_opened(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    concepts = _concepts(tiny)
    concepts.save(tmp_path / "concepts")
    store = _harvest(tiny, questions[1], concepts.site, tmp_path / "store")
    options: dict[str, Any] = {"max_new_tokens": 6, "n_maps": 0}
    open_ = explain(tiny, questions[0], None, concepts, store=store, **options)
    paths = explain(
        tiny, questions[0], None, str(tmp_path / "concepts"), store=tmp_path / "store", **options
    )
    assert paths.to_dict() == open_.to_dict()
    without = explain(tiny, questions[0], None, concepts, **options)
    assert without.calibration != open_.calibration, "the twin: a store makes a difference"


def test_one_word_is_one_word_and_not_its_letters(tiny: Model, questions: list[Sample]) -> None:
    found = explain(
        tiny, questions[0], None, _concepts(tiny), max_new_tokens=8, words="person", n_maps=1
    )
    assert len(found.heat_maps) == 1


@pytest.mark.parametrize(
    ("place", "given", "message"),
    [
        (0, "world:base", r"model is 'world:base'\n  a loaded model\n  load_model\('world:base'\)"),
        (0, "concepts", r"(?s)model is Concepts.*a loaded model"),
        (1, "concepts", r"(?s)image is Concepts.*explain\(model, image, prompt, concepts\)"),
        (2, "concepts", r"(?s)prompt is Concepts.*explain\(model, image, prompt, concepts\)"),
        (3, 7, r"7 is not concepts"),
        ("store", 7, r"7 is not a store of states"),
        ("samples", "photos", r"(?s)samples is 'photos'.*read\('photos'\)"),
    ],
)
def test_what_is_of_another_kind_is_told_so(
    tiny: Model, questions: list[Sample], place: int | str, given: Any, message: str
) -> None:
    concepts = _concepts(tiny)
    given = concepts if given == "concepts" else given
    places: list[Any] = [tiny, questions[0], "what ?", concepts]
    options: dict[str, Any] = {}
    if isinstance(place, int):
        places[place] = given
    else:
        options[place] = given
    # Past the check of types that is on in tests only.
    with pytest.raises(ShiftLensError, match=message):
        inspect.unwrap(explain)(*places, **options)
