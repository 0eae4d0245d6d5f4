"""``Samples``: fingerprints, cuts, and pictures that cannot be read."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shiftlens.core.errors import DataError
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample, Samples
from shiftlens.data.sources import is_provided, provided_model, provided_samples


@pytest.fixture
def samples(pictures: list[Path], tmp_path: Path) -> Samples:
    folder = Path(shutil.copytree(pictures[0].parent, tmp_path / "pictures"))
    return Samples(
        [
            Sample(f"s{i}", "what ?", (str(folder / path.name),), "a dog", {"place": "snow"})
            for i, path in enumerate(pictures)
        ],
        root=folder,
    )


def _with(samples: Samples, **change: Any) -> Samples:
    return Samples([replace(samples[0], **change), *samples[1:]])


def test_the_fingerprint_stays_while_the_content_does(samples: Samples, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(samples.root or "", tmp_path / "moved"))
    elsewhere = Samples(
        [replace(s, images=(str(moved / Path(s.images[0]).name),)) for s in samples], root=moved
    )
    assert elsewhere.fingerprint == samples.fingerprint
    assert Samples(list(samples)).fingerprint == samples.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"prompt": "what?"},
        {"response": "a cat"},
        {"response": None},
        {"labels": {"place": "beach"}},
        {"labels": {}},
        {"images": ()},
        {"images": ("/nowhere.png",)},
    ],
    ids=str,
)
def test_twin_any_change_changes_it(samples: Samples, change: dict[str, Any]) -> None:
    assert _with(samples, **change).fingerprint != samples.fingerprint


def test_the_bytes_of_a_picture_and_the_order_count(samples: Samples) -> None:
    before = samples.fingerprint
    assert Samples(list(reversed(samples))).fingerprint != before
    path = Path(samples[2].images[0])
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert Samples(list(samples)).fingerprint != before


def test_a_picture_replaced_under_its_name_and_nothing_else_counts(samples: Samples) -> None:
    before = samples.fingerprint
    path = Path(samples[2].images[0])
    os.utime(path, (1, 1))
    assert Samples(list(samples)).fingerprint == before, "not the time"
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    os.utime(path, (1, 1))
    assert Samples(list(samples)).fingerprint != before, "the bytes, at one size and time"


def test_every_picture_is_read_once(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    """Public data sets ask several questions about each."""
    twice = Samples([*samples, *(replace(s, id=f"{s.id}-again") for s in samples)])
    opened: list[Path] = []
    whole = Path.open

    def counted(path: Path, *args: Any) -> Any:
        opened.append(path)
        return whole(path, *args)

    monkeypatch.setattr(Path, "open", counted)
    assert len(twice.fingerprint) == 64
    assert len(opened) == len(samples)


def test_what_cannot_be_written_down_is_refused(samples: Samples) -> None:
    for change in ({"id": "\ud800"}, {"prompt": "\ud800"}, {"images": ("\udc00.png",)}):
        with pytest.raises(DataError, match="no text that UTF-8 can hold"):
            _with(samples, **change)
    for labels in ({"x": "\ud800"}, {"x": object()}):
        with pytest.raises(DataError, match=r"a label of Samples.* cannot be written down"):
            _ = _with(samples, labels=labels).fingerprint
    with pytest.raises(DataError, match="two samples have the id 's0': number 1 and 7"):
        Samples([*samples, samples[0]])


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    n=st.integers(1, 40),
    shares=st.lists(st.sampled_from([0.1, 0.2, 0.25, 0.3]), min_size=1, max_size=3),
    seed=st.integers(0, 5),
)
def test_parts_are_disjoint_in_order_and_as_large_as_asked(
    n: int, shares: list[float], seed: int
) -> None:
    samples = Samples([Sample(str(i), "p") for i in range(n)])
    parts = samples.split(*shares, seed=seed)
    ids = [s.id for part in parts for s in part]
    assert len(ids) == len(set(ids))
    for part, share in zip(parts, shares, strict=True):
        numbers = [int(s.id) for s in part]
        assert numbers == sorted(numbers)
        assert abs(len(part) - share * n) <= 1
    assert [list(p) for p in samples.split(*shares, seed=seed)] == [list(p) for p in parts]


def test_shares_that_sum_to_one_leave_nobody_out() -> None:
    samples = Samples([Sample(str(i), "p") for i in range(31)])
    parts = samples.split(0.7, 0.2, 0.1)
    assert sorted(int(s.id) for part in parts for s in part) == list(range(31))
    assert [s.id for s in samples.split(0.5)[0]] != [s.id for s in samples.split(0.5, seed=1)[0]]


def test_samples_of_one_picture_stay_together() -> None:
    """Or a direction would be judged on pictures that it was learned from."""
    samples = Samples([Sample(str(i), f"p{i}", (f"{i // 3}.png",)) for i in range(60)])
    for seed in range(5):
        first, second = samples.split(0.5, 0.5, seed=seed)
        assert not {s.images for s in first} & {s.images for s in second}
        assert len(first) + len(second) == 60


@pytest.mark.parametrize("shares", [(), (0.5, 0.6), (0.0, 0.5), (-0.1,)])
def test_impossible_shares_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="cannot split by"):
        Samples([Sample("a", "p")]).split(*shares)


def test_taking_and_choosing(samples: Samples) -> None:
    assert [s.id for s in samples.take(2)] == ["s0", "s1"]
    chosen = [s.id for s in samples.take(3, seed=1)]
    assert chosen == sorted(chosen) == [s.id for s in samples.take(3, seed=1)]
    assert len(samples.take(99)) == 6
    assert [s.id for s in samples.where(lambda s: s.id > "s3")] == ["s4", "s5"]
    assert [s.id for s in samples[1:3]] == ["s1", "s2"]
    assert {s.prompt for s in samples.with_prompt("new")} == {"new"}
    answered = samples.with_responses({"s4": "x", "s1": "y", "zz": "z"})
    assert [(s.id, s.response) for s in answered] == [("s1", "y"), ("s4", "x")]
    with pytest.raises(DataError, match="cannot take 0 samples"):
        samples.take(0)


def test_a_picture_is_opened_upright_and_in_rgb(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), dtype=np.uint8)
    pixels[:5, :5] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    found = np.asarray(open_image(str(tmp_path / "turned.png")))
    assert found.shape == (30, 20, 3)
    assert found[:5, -5:].min() == 255
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    assert open_image(str(tmp_path / "grey.png")).mode == "RGB"


def test_a_picture_that_cannot_be_read_says_why(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pictures[0].read_bytes()
    broken = {"empty": b"", "text": b"hello", "cut": data[: len(data) // 2]}
    words = {"empty": "not a picture", "text": "not a picture", "cut": "is damaged"}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=words[name]):
            open_image(str(tmp_path / name))
    with pytest.raises(DataError, match="does not exist"):
        open_image(str(tmp_path / "gone"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match="is too large"):
        open_image(str(pictures[0]))


def test_names_that_packages_bring_along(tmp_path: Path) -> None:
    assert is_provided("world:people")
    for name in ("world", "world:", "C:people", "llava-hf/llava", "./world:x/y"):
        assert not is_provided(name)
    assert provided_model("llava-hf/llava") == "llava-hf/llava"
    with pytest.raises(DataError, match="has no model 'nothing'"):
        provided_model("world:nothing")
    path = provided_samples("world:people", tmp_path / "p", n=2, seed=0)
    assert path.read_text().count("\n") == 2
    with pytest.raises(DataError, match="no installed package offers moon"):
        provided_samples("moon:people", tmp_path, n=1, seed=0)
