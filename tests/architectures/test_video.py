"""Videos are refused by name wherever one could be given."""

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.builders import build_llava, build_pictures, build_qwen2_vl

import shiftlens as sl
from shiftlens.activations.site import Site
from shiftlens.core.errors import DataError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn, encode, encode_turns

_SUFFIXES = (".mp4", ".MOV", ".avi", ".mkv", ".webm")


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_llava(tmp_path_factory.mktemp("video") / "llava"))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A family that reads videos itself."""
    return load_model(build_qwen2_vl(tmp_path_factory.mktemp("video") / "qwen"))


@pytest.mark.parametrize("suffix", _SUFFIXES)
@pytest.mark.parametrize("exists", [True, False])
def test_a_video_in_place_of_a_picture(
    llava: Model, tmp_path: Path, suffix: str, exists: bool
) -> None:
    path = tmp_path / f"clip{suffix}"
    if exists:
        path.write_bytes(b"\x00\x00\x00\x18ftypmp42")
    with pytest.raises(DataError, match="is a video, and videos are not supported") as caught:
        encode(llava, [Sample("one", "what is this ?", (str(path),))])
    assert path.name in str(caught.value)
    assert "frames" in caught.value.remedy


def test_also_for_a_family_that_reads_videos(qwen: Model, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="videos are not supported"):
        qwen.generate(tmp_path / "clip.mp4", "what is this ?")


def test_other_samples_go_on(llava: Model, tmp_path: Path) -> None:
    (picture,) = build_pictures(tmp_path / "pictures", 1)
    samples = Samples(
        [
            Sample("clip", "what is this ?", (str(tmp_path / "clip.mp4"),)),
            Sample("picture", "what is this ?", (str(picture),)),
        ]
    )
    store = sl.harvest(llava, samples, Site(), tmp_path / "run", max_new_tokens=1)
    assert store.sample_ids == ["picture"]
    (refused,) = store.quarantine
    assert refused["id"] == "clip"
    assert "videos are not supported" in refused["reason"]


@pytest.mark.parametrize("key", ["video", "videos"])
def test_a_row_of_a_file_that_names_a_video(tmp_path: Path, key: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"prompt": "what is this ?", key: "clip.mp4"}))
    with pytest.raises(DataError, match=f"line 1 of rows.jsonl .*{key}"):
        sl.read(file)


def test_a_placeholder_of_a_video_in_a_prompt(qwen: Model) -> None:
    with pytest.raises(DataError, match="contains the model's placeholder"):
        encode_turns(qwen, [Turn("<|video_pad|> what is this ?")])


def test_twin_an_animated_picture_is_its_first_frame(llava: Model, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (24, 24), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "still.gif")
    moving, still = (
        encode(llava, [Sample(name, "what is this ?", (str(tmp_path / f"{name}.gif"),))])
        for name in ("moving", "still")
    )
    assert moving.tensors["pixel_values"].equal(still.tensors["pixel_values"])
