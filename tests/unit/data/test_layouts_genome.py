"""Visual Genome: phrases and boxes at their picture, in whichever of the two folders it lies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.layout_files import genome, genome_regions, picture, write_json

from shiftlens.core.errors import DataError
from shiftlens.data.layouts import read_visual_genome
from shiftlens.data.readers.json_arrays import array_rows
from shiftlens.data.reading import read

_PROMPT = "Describe the picture."


def test_every_picture_gets_its_phrases(tmp_path: Path) -> None:
    samples = read_visual_genome(genome(tmp_path), prompt=_PROMPT)
    assert [s.id for s in samples] == ["1", "2"], "by number, without those nobody described"
    assert samples[1].labels == {
        "regions": ["a red bus", "the sky"],
        "boxes": [[-5, 0, 82, 139], [5, 1, 82, 139]],
        "width": 800,
        "height": 600,
    }
    assert samples[0].labels["regions"] == ["été"]
    root = tmp_path.resolve()
    assert [s.images[0] for s in samples] == [
        str(root / "VG_100K_2" / "1.jpg"),
        str(root / "VG_100K" / "2.jpg"),
    ]
    assert {s.response for s in samples} == {None}
    assert list(read(tmp_path, prompt=_PROMPT)) == list(samples)
    assert list(read(tmp_path / "region_descriptions.json", prompt=_PROMPT)) == list(samples)
    assert list(read(tmp_path, prompt=_PROMPT, limit=1)) == [samples[0]]
    assert [s.id for s in read(tmp_path, prompt=_PROMPT, where={"id": 2})] == ["2"]


def test_a_sample_may_be_a_region(tmp_path: Path) -> None:
    samples = read_visual_genome(genome(tmp_path), each="region", prompt=_PROMPT)
    assert [s.id for s in samples] == ["1/1000", "2/2000", "2/2001"]
    assert [s.response for s in samples] == ["été", "a red bus", "the sky"]
    assert samples[2].labels == {"phrase": "the sky", "box": [5, 1, 82, 139]}
    cut = read_visual_genome(tmp_path, each="region", prompt=_PROMPT, limit=2)
    assert list(cut) == list(samples[:2])
    with pytest.raises(DataError, match=r"no sample is a 'word'\n  picture, region"):
        read_visual_genome(tmp_path, each="word", prompt=_PROMPT)


def test_the_first_version_calls_a_region_s_number_otherwise(tmp_path: Path) -> None:
    def old(table: Any) -> None:
        for row in table:
            for region in row["regions"]:
                region["id"] = region.pop("region_id")
                region["image"] = region.pop("image_id")

    new = read_visual_genome(genome(tmp_path / "new"), prompt=_PROMPT)
    first = read_visual_genome(genome(tmp_path / "old", old), prompt=_PROMPT)
    assert first.fingerprint == new.fingerprint


@pytest.mark.parametrize(
    "place", ["VG_100K/1.jpg", "1.jpg", "images/VG_100K_2/1.jpg", "images/1.jpg"]
)
def test_pictures_in_one_folder_are_found(tmp_path: Path, place: str) -> None:
    (genome(tmp_path) / "VG_100K_2" / "1.jpg").unlink()
    expected = picture(tmp_path / place).resolve()
    found = read_visual_genome(tmp_path, prompt=_PROMPT)[0].images[0]
    assert Path(found) == expected


def test_pictures_elsewhere_are_named(tmp_path: Path) -> None:
    genome(tmp_path / "a")
    (tmp_path / "a" / "VG_100K_2").rename(tmp_path / "VG_100K_2")
    with pytest.raises(DataError, match="no picture of 8 is in") as caught:
        read(tmp_path / "a", prompt=_PROMPT)
    assert "VG_100K_2/1.jpg" in str(caught.value)
    for folder in (tmp_path, tmp_path / "VG_100K_2"):
        samples = read_visual_genome(tmp_path / "a", folder=folder, prompt=_PROMPT)
        assert Path(samples[0].images[0]).is_file()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    genome(tmp_path)
    with pytest.raises(DataError, match="descriptions without questions"):
        read(tmp_path)
    (tmp_path / "image_data.json").unlink()
    with pytest.raises(DataError, match=r"image_data.json cannot be read \(No such file"):
        read(tmp_path, prompt=_PROMPT)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no file of descriptions\n  a file region_descr"):
        read_visual_genome(tmp_path / "empty", prompt=_PROMPT)
    write_json(tmp_path / "region_descriptions_v1_0.json", [])
    with pytest.raises(DataError, match="several files of descriptions"):
        read(tmp_path, prompt=_PROMPT)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t[1].pop("regions"), "row 2 of region_.*json: 'regions' is missing"),
        (lambda t: t[1].update(id="1"), "row 2 of region_.*json: 'id' is '1'"),
        (lambda t: t[1].update(id=9), "row 2 of .*: image_data.json has no picture 9"),
        (lambda t: t[2].update(id=1), "row 3 of .*repeats the id 1 of row 2 of"),
        (lambda t: t[0]["regions"].append(3), "region 4 of row 1 of .* is not a JSON object"),
        (lambda t: t[0]["regions"][1].pop("phrase"), "region 2 of row 1 .*'phrase' is missing"),
        (lambda t: t[0]["regions"][1].update(phrase=3), "region 2 of row 1 .*is no text"),
        (lambda t: t[0]["regions"][0].pop("x"), "region 1 of row 1 .*'x' is missing"),
        (lambda t: t.clear(), "holds no samples"),
        (lambda t: t.append([1]), "row 4 of region_descriptions.json is not a JSON object"),
    ],
)
def test_a_bad_row_is_named_by_file_and_row(
    tmp_path: Path, spoil: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(genome(tmp_path, spoil), prompt=_PROMPT)


@pytest.mark.parametrize("url", ["https://x.org/../../etc/passwd", "VG_100K/../1.jpg", "1.jpg"])
def test_a_url_leads_nowhere_else(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match=r"row 2 of image_data.json: 'url' is"):
        read(genome(tmp_path, data=lambda table: table[1].update(url=url)), prompt=_PROMPT)


def test_a_list_is_read_object_by_object(tmp_path: Path) -> None:
    """Objects longer than what is read at once, and spaces wherever JSON allows them."""
    rows = [genome_regions(i, "x" * 400_000 * (i % 5)) for i in range(12)]
    path = tmp_path / "a.json"
    for text in (json.dumps(rows), "\ufeff \n" + json.dumps(rows, indent=2) + " \n"):
        path.write_text(text, encoding="utf-8")
        assert [row for _, row in array_rows(path)] == rows
    with pytest.raises(DataError, match=r"row 3 of a.json is not JSON"):
        list(array_rows(path, longest=100_000))
    path.write_text("[]")
    assert not list(array_rows(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not hold a JSON list"),
        ('{"a": 1}', "does not hold a JSON list"),
        ("[", "the list ends at row 1 of a.json, unclosed"),
        ('[{"a": 1}', "the list ends at row 1 of a.json, unclosed"),
        ('[{"a": 1},', "the list ends at row 2 of a.json, unclosed"),
        ('[{"a": 1}, {"b"', "row 2 of a.json is not JSON"),
        ('[{"a": 1} {"b": 2}]', "after row 1 of a.json comes '{', no comma"),
        ('[{"a": 1}, 3]', "row 2 of a.json is not a JSON object"),
        ('[{"a": 1}, {"b": tru}]', "row 2 of a.json is not JSON"),
        ('[{"a": ' + "[" * 100_000, "row 1 of a.json is not JSON"),
        (b'[{"a": "\xe4"}]', "a.json is not UTF-8"),
    ],
)
def test_a_list_that_is_broken_is_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        list(array_rows(path))
