"""Three parts that share no picture."""

import numpy as np
import pytest

from shiftlens.core.errors import LearnError
from shiftlens.shift.parts import NAMES, thirds


def test_the_parts_cover_everything_once_and_tear_no_picture() -> None:
    groups = [f"p{i // 3}" for i in range(99)]  # three questions about each picture
    parts = thirds(groups)
    rows = [getattr(parts, name) for name in NAMES]
    assert sorted(np.concatenate(rows).tolist()) == list(range(99))
    pictures = [{groups[i] for i in part.tolist()} for part in rows]
    assert not pictures[0] & pictures[1]
    assert not pictures[0] & pictures[2]
    assert not pictures[1] & pictures[2]
    assert parts.sizes() == dict.fromkeys(NAMES, 33)


def test_the_cut_is_seeded() -> None:
    groups = [str(i) for i in range(30)]
    again, other = thirds(groups, seed=1), thirds(groups, seed=2)
    assert thirds(groups, seed=1).judging.tolist() == again.judging.tolist()
    assert again.judging.tolist() != other.judging.tolist()


def test_two_pictures_cannot_be_cut() -> None:
    with pytest.raises(LearnError, match="2 pictures cannot be cut into three parts"):
        thirds(["a", "b", "a"])
