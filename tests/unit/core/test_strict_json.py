"""JSON from strangers."""

from pathlib import Path

import pytest

from shiftlens.core.errors import StoreError
from shiftlens.core.fields import Fields
from shiftlens.core.strict_json import parse_strict, read_strict, shown


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting"),
        (b"\xff", "decode"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "no number"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b"[" * 65 + b"]" * 65, "64 deep"),
        (b"[" * 100_000, "64 deep"),
        (b'{"a": "\\ud800"}', "surrogates"),
        (b'{"\\ud800": 1}', "surrogates"),
    ],
)
def test_what_reads_in_two_ways_or_not_at_all_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        parse_strict(data, "x.json")
    assert len(str(caught.value)) < 400


def test_ordinary_json_is_read_as_ever(tmp_path: Path) -> None:
    text = '{"a": [1, -2.5e3, true, null, "\\u00e9 \\ud83d\\ude00"], "b": {"a": {}}}'
    value = {"a": [1, -2500.0, True, None, "é 😀"], "b": {"a": {}}}
    assert parse_strict(text.encode(), "x") == value
    (tmp_path / "x").write_text(text)
    assert read_strict(tmp_path / "x") == value
    assert parse_strict(b"[" * 64 + b"]" * 64, "x")


def test_figures_that_could_not_be_had_are_read_where_that_is_meant() -> None:
    value = parse_strict(b'{"a": NaN}', "x", finite=False)["a"]
    assert value != value


def test_files_that_are_missing_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        read_strict(tmp_path / "none")
    with pytest.raises(StoreError, match="does not exist"):
        read_strict(tmp_path)
    (tmp_path / "x").write_bytes(b" " * 101)
    with pytest.raises(StoreError, match="more than 100 bytes"):
        read_strict(tmp_path / "x", most=100)


def test_values_are_cut_before_they_stand_in_a_sentence() -> None:
    assert shown("dog") == "'dog'"
    assert len(shown("x" * 10**7)) <= 60
    assert len(shown(list(range(1000)))) <= 60


@pytest.mark.parametrize(
    ("take", "value"),
    [
        ("text", 1),
        ("text", None),
        ("text", "a\x1b[2J"),
        ("text", "x" * 100_001),
        ("texts", "abc"),
        ("texts", [1]),
        ("number", "1"),
        ("number", True),
        ("number", float("inf")),
        ("whole", 1.0),
        ("whole", True),
        ("whole", -1),
        ("whole", 2**40),
        ("wholes", 3),
        ("flag", 1),
        ("items", {}),
        ("object", []),
        ("inner", []),
    ],
)
def test_values_of_the_wrong_kind_are_refused(take: str, value: object) -> None:
    with pytest.raises(StoreError) as caught:
        getattr(Fields({"a": value}, "the file"), take)("a")
    assert "the file" in str(caught.value)
    with pytest.raises(StoreError, match="has no 'a'"):
        getattr(Fields({}, "the file"), take)("a")


def test_values_of_the_right_kind_are_taken_once() -> None:
    data = Fields({"a": "x\ny", "b": 2, "c": [1, 2], "d": False, "e": {}, "f": {"g": 1}}, "x")
    assert (data.text("a"), data.number("b"), data.wholes("c")) == ("x\ny", 2.0, (1, 2))
    assert (data.flag("d"), data.object("e"), data.inner("f").whole("g")) == (False, {}, 1)
    data.done()
    assert data.text("a", "left out") == "left out"
    with pytest.raises(StoreError, match="which nothing reads"):
        Fields({"more": 1}, "x").done()
    with pytest.raises(StoreError, match="an object"):
        Fields([], "x")
