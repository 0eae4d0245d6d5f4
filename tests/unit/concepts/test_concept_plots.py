"""``Concepts.plot``: bars as long as the shares, words, pictures or grey tiles."""

from pathlib import Path
from typing import Any

import pytest
from tests.drawn import HOSTILE, SITE, small_concepts

from shiftlens.concepts.concepts import Concepts
from shiftlens.core.errors import DataError
from shiftlens.data.sample import Sample


def _widths(axes: Any) -> list[float]:
    return [bar.get_width() for bar in axes.patches]


def test_bars_are_the_shares_the_largest_first() -> None:
    (axes,) = small_concepts().plot().axes
    assert _widths(axes) == pytest.approx([50.0, 30.0, 20.0])
    labels = [one.get_text() for one in axes.get_yticklabels()]
    assert labels == ["snow, ice  1", "beach, sand  0", "kitchen  2"]


def test_without_words_concepts_have_numbers() -> None:
    import torch

    plain = Concepts(torch.eye(2), "centroid", SITE, (1, 3))
    (axes,) = plain.plot().axes
    assert [one.get_text() for one in axes.get_yticklabels()] == ["concept  1", "concept  0"]


def test_pictures_stand_beside_and_a_missing_one_is_a_tile(pictures: list[Path]) -> None:
    held = small_concepts(images=(("a", "gone"), ("b",), ("torn",)))
    torn = pictures[0].with_name("torn.png")
    torn.write_bytes(b"no picture")
    samples = [
        Sample("a", "?", (str(pictures[0]),)),
        Sample("b", "?", (str(pictures[1]),)),
        Sample("torn", "?", (str(torn),)),
    ]
    _, shown = held.plot(samples).axes
    assert [one.get_label() for one in shown.images] == ["b", "a"]
    assert {one.get_label() for one in shown.collections} == {"missing: gone", "missing: torn"}


def test_many_concepts_are_cut_and_it_says_so() -> None:
    (axes,) = small_concepts(tuple((f"w{i}",) for i in range(60))).plot().axes
    assert len(_widths(axes)) == 40
    assert axes.get_title(loc="left") == "the largest 40 of 60"


def test_no_concepts_are_one_sentence() -> None:
    import torch

    with pytest.raises(DataError, match="there are no concepts to draw"):
        Concepts(torch.zeros(0, 4), "centroid", SITE, ()).plot()


def test_hostile_words_and_ids_are_text(tmp_path: Path) -> None:
    held = small_concepts(tuple((one,) for one in HOSTILE), images=((HOSTILE[0],),) * len(HOSTILE))
    held.plot([]).savefig(tmp_path / "a.png")
