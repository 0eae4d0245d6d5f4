"""A kept setting opens as it was, from a file or a run; files that lie are one sentence."""

import io
import json
import zipfile
import zlib
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.unit.playground.builders import build_concepts, build_edit, build_gate, build_run

import shiftlens as sl
from shiftlens.core.errors import ShiftLensError
from shiftlens.data.images import open_image
from shiftlens.models.model import Model
from shiftlens.playground.desk import Desk
from shiftlens.playground.library import Library
from shiftlens.playground.limits import Limits
from shiftlens.playground.lines import Line, gate_in_words
from shiftlens.playground.listing import listed
from shiftlens.playground.opening import Opened, open_beside, open_files
from shiftlens.playground.setting import Setting
from shiftlens.steering.gates import AboutToSay, Active, PromptSays
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import AddKeepingNorm, MoveTo

_PROMPT = "what is this ?"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, _tiny: Model) -> Path:
    return build_run(tmp_path_factory.mktemp("run"), _tiny)


def _lines(run: Path, *each: tuple[str, dict[str, Any]]) -> tuple[Line, ...]:
    known = Library.open(run).directions.values()
    found = [next(one for one in known if title in one.title) for title, _ in each]
    return tuple(
        Line(one, more.pop("layer", one.layers[0]), run, **more)
        for one, (_, more) in zip(found, each, strict=True)
    )


def _setting(run: Path, tiny_path: Path) -> Setting:
    """Three directions, an operator, a scope and two gates among them."""
    probe = Library.open(run).found.gates["gates/open"]
    lines = _lines(
        run,
        ("louder", {"layer": 3, "strength": 2.5, "gate": "probe:gates/open", "probe": probe}),
        ("two out", {"strength": 0.5}),
        ("“cat”", {"strength": -1.25, "operator": "ablate", "scope": "all"}),
    )
    picture = str(run / "pictures" / "picture-1.png")
    return Setting(str(tiny_path), _PROMPT, lines, picture=picture, max_new_tokens=9)


def _answers(tiny: Model, setting: Setting, picture: Any) -> tuple[str, str, str]:
    last = list(Desk(tiny).answers(setting, picture))[-1]
    return last.unsteered, last.steered or "", last.receipt.summary()


def _zip(path: Path, files: dict[str, bytes]) -> list[str]:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return [str(path)]


def _archived(setting: Setting, tiny: Model) -> dict[str, bytes]:
    picture = open_image(setting.picture) if setting.picture else None
    with zipfile.ZipFile(io.BytesIO(setting.archive(picture, tiny))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_what_is_saved_opens_and_gives_the_same_answers(
    tiny: Model, tiny_path: Path, run: Path, tmp_path: Path
) -> None:
    setting = _setting(run, tiny_path)
    assert setting.picture is not None
    before = _answers(tiny, setting, open_image(setting.picture))
    assert before[0] != before[1]
    opened = open_files(_zip(tmp_path / "setting.zip", _archived(setting, tiny)), Limits())
    assert (opened.prompt, opened.tokens, opened.model) == (_PROMPT, 9, str(tiny_path))
    again = Setting(str(tiny_path), _PROMPT, opened.lines, uploaded=True, max_new_tokens=9)
    assert _answers(tiny, again, opened.picture) == before
    # And kept once more, from a page that holds nothing but what was opened.
    twice = open_files(_zip(tmp_path / "twice.zip", _archived_of(again, opened, tiny)), Limits())
    assert [one.told for one in twice.lines] == [one.told for one in opened.lines]


def _archived_of(setting: Setting, opened: Opened, tiny: Model) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(setting.archive(opened.picture, tiny))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_several_directions_are_kept_as_lines_of_python(
    tiny: Model, tiny_path: Path, run: Path, tmp_path: Path
) -> None:
    setting = _setting(run, tiny_path)
    files = _archived(setting, tiny)
    assert "vector.json" not in files
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    out = io.StringIO()
    with redirect_stdout(out):
        names = {"__file__": str(tmp_path / "steer.py")}
        exec(compile(files["steer.py"], "steer.py", "exec"), names)
    assert setting.picture is not None
    assert out.getvalue() == "\n".join(_answers(tiny, setting, open_image(setting.picture))) + "\n"
    assert 'sl.Steering.load("steering")' in setting.to_python()
    told = json.loads(files["setting.json"])
    assert [one["direction"]["source"] for one in told["lines"]] == [
        "steering/vector-3",
        "steering/edit",
        "words/shift",
    ]


def test_twin_another_strength_of_the_whole_list_says_something_else(
    tiny: Model, tiny_path: Path, run: Path
) -> None:
    from dataclasses import replace

    setting = _setting(run, tiny_path)
    assert setting.picture is not None
    picture = open_image(setting.picture)
    other = replace(setting, times=-1.5)
    assert _answers(tiny, setting, picture)[1:] != _answers(tiny, other, picture)[1:]
    strengths = [one.strength for one in other.steering(tiny).interventions]
    assert strengths == [-3.75, -0.75, 1.875]


def test_a_steering_of_the_run_opens_and_its_directions_are_offered(
    tiny: Model, tiny_path: Path, run: Path, tmp_path: Path
) -> None:
    root = tmp_path / "run"
    (root / "kept").mkdir(parents=True)
    for name, content in _archived(_setting(run, tiny_path), tiny).items():
        (root / "kept" / name).write_bytes(content)
    library = Library.open(root)
    assert not library.empty
    assert library.found.damaged == []
    assert set(library.found.steerings) == {"kept/steering"}
    assert [one.kept for one in library.directions.values()] == [0, 1, 2]
    steering = library.found.steerings["kept/steering"]
    opened = open_beside(steering, "kept/steering", root, Limits())
    assert opened.prompt == _PROMPT
    assert opened.picture is not None
    assert opened.lines[0].said().source == "kept/steering"
    one = next(iter(library.directions.values()))
    line = Line(one, one.layers[0], root, strength=2.0)
    code = Setting(str(tiny_path), _PROMPT, (line,), max_new_tokens=3).to_python()
    exec(compile(code, "steer.py", "exec"), {})
    page = listed(opened.lines)
    assert "Steered with these 3 directions, in this order" in page
    assert "linear discriminant, after block 0" in page
    assert "Change" not in page


def test_a_direction_that_lies_beside_its_steering_is_offered_once(
    tiny: Model, tiny_path: Path, run: Path, tmp_path: Path
) -> None:
    (line,) = _lines(run, ("louder", {"layer": 3}))
    for name, content in _archived(Setting(str(tiny_path), "x", (line,)), tiny).items():
        (tmp_path / name).write_bytes(content)
    assert [one.kept for one in Library.open(tmp_path).directions.values()] == [None]


def test_a_steering_that_no_page_made_is_shown_and_used(tiny: Model, tmp_path: Path) -> None:
    """Operators, layers and gates that no control of the page has."""
    concepts = build_concepts(provenance={"model": dict(tiny.identity)})
    gate = Active(concepts, 0, -1e6, "cosine", None, None) & ~PromptSays(("<b>bomb</b>",))
    edit = build_edit(provenance={"model": dict(tiny.identity)})
    vector = sl.SteeringVector(
        concepts.vectors[0], sl.Site(1), name="<script>", kind="x", state_norm=9.0
    )
    steering = sl.Steering((
        Intervention(vector, 9.0, "words@prompt:dog", None, MoveTo(1.5), (1, 2)),
        Intervention(vector, 1.0, "response", gate, AddKeepingNorm(), (3,)),
        Intervention(edit),
    ))  # fmt: skip
    steering.save(tmp_path / "mine")
    paths = [str(tmp_path / f"mine{ending}") for ending in (".safetensors", ".json")]
    opened = open_files(paths, Limits())
    assert (opened.prompt, opened.picture, opened.tokens) == (None, None, None)
    said = [one.said() for one in opened.lines]
    assert said[0].to_dict() == {
        "direction": {"name": "<script>", "kind": "x", "source": None},
        "layers": [1, 2],
        "strength": 9.0,
        "scope": "words@prompt:dog",
        "operator": "move-to:1.5",
        "gate": None,
    }
    assert said[1].gate.startswith("(concept active (cosine), after block 1) and (not (")
    assert (said[2].operator, said[2].layers) == ("", (2,))
    page = listed(opened.lines)
    assert "<script>" not in page
    assert "<b>bomb" not in page
    with sl.steer(tiny, sl.Steering(tuple(one.intervention(tiny) for one in opened.lines))):
        mine = tiny.generate(None, "a dog", max_new_tokens=5)
    with sl.steer(tiny, steering):
        assert tiny.generate(None, "a dog", max_new_tokens=5) == mine


def test_gates_are_told_in_words(tiny: Model) -> None:
    assert gate_in_words(PromptSays(("gun", "bomb"))) == "prompt says: gun, bomb"
    assert gate_in_words(~build_gate()) == "not (linear discriminant, after block 0)"
    many = PromptSays(tuple(f"w{at}" for at in range(9)))
    assert gate_in_words(many).endswith("w5, …")
    assert "about to say" in gate_in_words(AboutToSay.of(tiny, "dog"))


_Made = Callable[[dict[str, bytes]], bytes]


def _plain(files: dict[str, bytes]) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return kept.getvalue()


def _changed(name: str, change: Callable[[Any], Any]) -> _Made:
    def made(files: dict[str, bytes]) -> bytes:
        return _plain({**files, name: json.dumps(change(json.loads(files[name]))).encode()})

    return made


def _twice(files: dict[str, bytes]) -> bytes:
    kept = io.BytesIO(_plain(files))
    with zipfile.ZipFile(kept, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("steering.json", b"{}")
    return kept.getvalue()


def _liar(files: dict[str, bytes]) -> bytes:
    """A zip whose entries say that they are small."""
    content = bytearray(_plain({**files, "picture.png": b"\0" * 2**26}))
    return bytes(content.replace((2**26).to_bytes(4, "little"), (9).to_bytes(4, "little")))


def _locked(files: dict[str, bytes]) -> bytes:
    content = bytearray(_plain(files))
    at = content.find(b"PK\x01\x02")
    while at >= 0:
        content[at + 8] |= 1
        at = content.find(b"PK\x01\x02", at + 4)
    return bytes(content)


def _packed(method: int) -> _Made:
    def made(files: dict[str, bytes]) -> bytes:
        kept = io.BytesIO()
        with zipfile.ZipFile(kept, "w", method) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return kept.getvalue()

    return made


def _without(name: str) -> _Made:
    return lambda files: _plain({key: one for key, one in files.items() if key != name})


_HOSTILE: list[tuple[str, _Made, str]] = [
    ("nothing", lambda files: b"", "the zip is damaged"),
    ("no zip", lambda files: b"PK\x03\x04" + bytes(range(256)) * 9, "the zip is damaged"),
    ("cut", lambda files: _plain(files)[:-200], "the zip is damaged"),
    ("torn", lambda files: _plain(files).replace(b"K\x03\x04", b"K\x03\x05"), "the zip is damaged"),
    ("half", _without("steering.safetensors"), "no steering in this zip"),
    ("twice", _twice, "holds a file twice"),
    ("locked", _locked, "locked, or packed unusually"),
    ("lzma", _packed(zipfile.ZIP_LZMA), "locked, or packed unusually"),
    ("bomb", lambda files: _plain({**files, "picture.png": b"\0" * 2**26}), "too large"),
    ("liar", _liar, "too large|damaged"),
    ("climbing", lambda files: _plain({f"../{one}": files[one] for one in files}), "no steering"),
    ("list", lambda files: _plain({**files, "steering.json": b"[]"}), "holds"),
    ("deep", lambda files: _plain({**files, "steering.json": b"[" * 10**6}), "deep|JSON|brackets"),
    ("NaN", lambda files: _plain({**files, "setting.json": b'{"kind": NaN}'}), "NaN|JSON"),
    ("kind", _changed("setting.json", lambda one: {**one, "kind": "x"}), "no setting of a"),
    ("schema", _changed("setting.json", lambda one: {**one, "schema": 9}), "schema"),
    ("prompt", _changed("setting.json", lambda one: {**one, "prompt": "a" * 2001}), "2,001 char"),
    ("tokens", _changed("setting.json", lambda one: {**one, "max_new_tokens": True}), "whole"),
    ("picture", lambda files: _plain({**files, "picture.png": b"GIF89a, or not"}), "icture"),
    ("data", _changed("steering.json", lambda one: {**one, "data": {}}), "SHA-256"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "said"), [one[1:] for one in _HOSTILE], ids=[one[0] for one in _HOSTILE]
)
def test_what_is_no_kept_setting_is_one_sentence(
    tiny: Model, tiny_path: Path, run: Path, tmp_path: Path, made: _Made, said: str
) -> None:
    files = _archived(_setting(run, tiny_path), tiny)
    path = tmp_path / "mine.zip"
    path.write_bytes(made(files))
    with pytest.raises(ShiftLensError, match=said) as told:
        open_files([str(path)], Limits())
    assert "/tmp" not in str(told.value), "where it was unpacked is nobody's business"
    assert len(str(told.value)) < 1200
    assert sorted(tmp_path.iterdir()) == [path], "nothing is left beside it"


@pytest.mark.parametrize(
    "names", [(), ("a.txt",), ("a.json",), ("a.json", "b.json"), ("a.zip", "b.zip"), ("x.png",) * 9]
)
def test_other_files_are_one_sentence(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ShiftLensError, match="no kept setting"):
        open_files([str(tmp_path / name) for name in names], Limits())


def test_large_files_and_long_lists_are_refused(tiny: Model, tmp_path: Path) -> None:
    vector = sl.SteeringVector(
        build_concepts().vectors[0], sl.Site(1), name="a", kind="x", state_norm=9.0
    )
    sl.Steering((Intervention(vector),) * 9).save(tmp_path / "many")
    paths = [str(tmp_path / f"many{ending}") for ending in (".json", ".safetensors")]
    with pytest.raises(ShiftLensError, match="9 directions"):
        open_files(paths, Limits())
    with pytest.raises(ShiftLensError, match="too large"):
        open_files(paths, Limits(lines=9, upload_bytes=100))
    assert len(open_files(paths, Limits(lines=9)).lines) == 9


def test_an_upload_that_is_gone_is_said(
    tiny: Model, tiny_path: Path, run: Path, tmp_path: Path
) -> None:
    paths = _zip(tmp_path / "setting.zip", _archived(_setting(run, tiny_path), tiny))
    opened = open_files(paths, Limits())
    (tmp_path / "setting.zip").unlink()
    with pytest.raises(ShiftLensError, match="too long ago"):
        opened.lines[0].intervention(tiny)


def test_any_byte_may_be_wrong(tiny: Model, tiny_path: Path, run: Path, tmp_path: Path) -> None:
    """Damage anywhere is a sentence, or has changed nothing that is read."""
    import random

    whole = _plain(_archived(_setting(run, tiny_path), tiny))
    path, dice = tmp_path / "mine.zip", random.Random(0)
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(dice.choice((1, 1, 4))):
            content[dice.randrange(len(content))] = dice.randrange(256)
        path.write_bytes(content)
        with suppress(ShiftLensError):
            open_files([str(path)], Limits())


def test_twin_what_zlib_says_of_damage_is_not_ours() -> None:
    assert not issubclass(zlib.error, ShiftLensError)
