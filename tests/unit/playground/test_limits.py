"""What visitors may send: checked before a model sees it, told without the server's paths."""

from pathlib import Path

import pytest
from PIL import Image

from shiftlens.core.errors import ShiftLensError
from shiftlens.playground.limits import Limits


def test_a_picture_within_the_limits_is_opened(tmp_path: Path) -> None:
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    found = Limits().picture(str(tmp_path / "a.png"))
    assert found is not None
    assert (found.size, found.mode) == ((30, 20), "RGB")
    assert Limits().picture(None) is None


@pytest.mark.parametrize(
    ("limits", "content", "said"),
    [
        (Limits(upload_bytes=10), b"", "MB"),
        (Limits(pixels=100), b"", "too large"),
        (Limits(), b"<svg onload=alert(1)>", "not a picture"),
        (Limits(), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "this picture"),
    ],
)
def test_others_are_refused_without_naming_the_server_s_files(
    tmp_path: Path, limits: Limits, content: bytes, said: str
) -> None:
    path = tmp_path / "uploaded.png"
    Image.effect_noise((40, 40), 90).save(path)
    if content:
        path.write_bytes(content)
    with pytest.raises(ShiftLensError, match=said) as error:
        limits.picture(str(path))
    assert str(tmp_path) not in str(error.value)


def test_prompts_have_a_length_and_are_unicode() -> None:
    assert Limits().asked("  what is this ? ") == "what is this ?"
    with pytest.raises(ShiftLensError, match="nothing is asked"):
        Limits().asked(" \n ")
    with pytest.raises(ShiftLensError, match="2,001 characters"):
        Limits().asked("a" * 2001)
    with pytest.raises(ShiftLensError, match="half a character"):
        Limits().asked("a\ud83d")
