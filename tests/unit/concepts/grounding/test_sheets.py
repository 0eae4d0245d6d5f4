"""Contact sheets and overlays: everything is shown, nothing breaks them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.colours import coloured, limits_of, stripes
from shiftlens.concepts.grounding.heat_map import HeatMap, laid_out
from shiftlens.concepts.grounding.lettering import Lettering
from shiftlens.concepts.grounding.sheets import contact_sheet, overlay
from shiftlens.core.errors import GroundingError
from shiftlens.data.sample import Sample

_ODD = ("Donaudampfschifffahrtsgesellschaftskapitän" * 4, "שלום", "مرحبا", "狗", "🐶", "a\n\x00b")


def _map(width: int = 24, height: int = 16, sample_id: str = "s0") -> HeatMap:
    edges = (tuple(width * at / 3 for at in range(4)), tuple(height * at / 2 for at in range(3)))
    patches = np.arange(6, dtype=np.float32).reshape(2, 3)
    return laid_out(sample_id, 0, patches, 0, edges, (width, height), "projection")


def _concepts(images: tuple[str, ...], words: tuple[str, ...] = ("dog", "cat")) -> Concepts:
    found = Concepts(torch.eye(2), "centroid", Site(0), (1, 1))
    lists = (words, ("bus",))
    return found.grounded(words=lists, contrastive=lists, images=(images, ()))


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Three samples with pictures of one colour each, of different shapes."""
    found: list[Sample] = []
    for at, (size, colour) in enumerate(
        [((24, 16), "red"), ((10, 90), "lime"), ((60, 60), "blue")]
    ):
        path = tmp_path / f"{at}.png"
        Image.new("RGB", size, colour).save(path)
        found.append(Sample(f"s{at}", "what", (str(path),)))
    return found


def _has(sheet: Image.Image, colour: tuple[int, int, int]) -> bool:
    return bool((np.asarray(sheet) == colour).all(axis=-1).any())


def test_lightness_rises_with_heat() -> None:
    """So that the order is seen without colours."""
    ramp = coloured(np.linspace(-2, 5, 64, dtype=np.float32)[None], (-2.0, 5.0))[0].astype(float)
    light = ramp @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()
    # Deuteranopes hardly tell red from green: blue against yellow must be enough.
    assert ramp[0, 2] > ramp[0, :2].max()
    assert ramp[-1, 2] < ramp[-1, :2].min()


def test_what_is_nan_is_striped_and_nothing_else() -> None:
    values = np.arange(64, dtype=np.float32).reshape(8, 8)
    values[:, :3] = np.nan
    pixels = coloured(values, limits_of(values))
    assert (pixels[:, :3] == stripes(8, 8)[:, :3]).all()
    assert not (np.ptp(pixels[:, 3:].astype(int), axis=-1) == 0).any()
    assert limits_of(values) == (3.0, 63.0)


def test_a_flat_map_has_one_colour_and_numbers_beyond_the_scale_its_ends() -> None:
    flat = np.full((2, 2), 4, dtype=np.float32)
    assert len(np.unique(coloured(flat, limits_of(flat)).reshape(-1, 3), axis=0)) == 1
    beyond = coloured(np.array([[-9.0, 0.0, 1.0, 9.0]], dtype=np.float32), (0.0, 1.0))[0]
    assert (beyond[0] == beyond[1]).all()
    assert (beyond[2] == beyond[3]).all()


@pytest.mark.parametrize("limits", [(1.0, 0.0), (0.0, float("nan")), (0.0, float("inf"))])
def test_impossible_limits_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(GroundingError, match="the limits"):
        overlay(Image.new("RGB", (24, 16)), _map(), limits=limits)


def test_an_overlay_shows_heat_where_it_is() -> None:
    shown = overlay(Image.new("RGB", (24, 16), "white"), _map(), legend=False)
    assert shown.width % 24 == 0
    assert shown.width / shown.height == 24 / 16
    assert min(shown.size) >= 240
    times = shown.width // 24
    pixels = np.asarray(shown).astype(int)
    blueness = pixels[..., 2] - pixels[..., 0]
    cold, hot = blueness[: 8 * times, : 8 * times], blueness[8 * times :, 16 * times :]
    assert (cold > 0).all()
    assert (hot < 0).all()
    assert len(np.unique(cold)) == 1


def test_a_strip_is_not_enlarged_beyond_reason() -> None:
    """Twin: a square as small is enlarged until it can be seen."""
    shown = overlay(Image.new("RGB", (1000, 2)), _map(1000, 2), legend=False)
    assert shown.size == (2000, 4)
    assert overlay(Image.new("RGB", (2, 2)), _map(2, 2), legend=False).size == (240, 240)


def test_an_overlay_has_its_scale() -> None:
    image = Image.new("RGB", (24, 16), "white")
    with_scale, without = overlay(image, _map()), overlay(image, _map(), legend=False)
    assert with_scale.height > without.height
    assert np.array_equal(np.asarray(with_scale)[: without.height], np.asarray(without))
    other = overlay(image, _map(), limits=(0.0, 50.0))
    assert not np.array_equal(np.asarray(with_scale), np.asarray(other))


@pytest.mark.parametrize("opacity", [0, -0.1, 1.1])
def test_an_opacity_that_hides_all_or_nothing_is_refused(opacity: float) -> None:
    with pytest.raises(GroundingError, match="an opacity of"):
        overlay(Image.new("RGB", (24, 16)), _map(), opacity=opacity)


def test_a_map_of_another_picture_is_refused() -> None:
    with pytest.raises(GroundingError, match="24x16 pixels over a picture of 16x24"):
        overlay(Image.new("RGB", (16, 24)), _map())


def test_a_map_without_numbers_is_refused() -> None:
    nothing = replace(_map(), values=np.full((16, 24), np.nan, dtype=np.float32))
    with pytest.raises(GroundingError, match="no scale"):
        overlay(Image.new("RGB", (24, 16)), nothing)


def test_a_sheet_holds_every_picture(samples: list[Sample]) -> None:
    concepts = _concepts(("s2", "s0", "s1"))
    sheet = contact_sheet(concepts, 0, samples, columns=2, tile=64)
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        assert _has(sheet, colour)
    assert contact_sheet(concepts, "dog", samples, columns=1).height > sheet.height
    without = contact_sheet(_concepts(("s2", "s0")), 0, samples, columns=2, tile=64)
    assert not _has(without, (0, 255, 0))


def test_a_sheet_with_heat_has_one_scale(samples: list[Sample]) -> None:
    concepts = _concepts(("s0", "s2"))
    maps = {"s0": _map(), "s2": replace(_map(60, 60, "s2"))}
    plain, hot = (contact_sheet(concepts, 0, samples, heat_maps=one) for one in (None, maps))
    assert hot.height > plain.height
    assert not _has(hot, (255, 0, 0))


def test_missing_pictures_are_boxes(tmp_path: Path, samples: list[Sample]) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    more = [Sample("broken", "what", (str(broken),)), Sample("text", "what")]
    concepts = _concepts(("s0", "gone", "broken", "text"))
    sheet = contact_sheet(concepts, 0, [*samples, *more], tile=80)
    assert _has(sheet, (255, 0, 0))
    grey = (np.ptp(np.asarray(sheet).astype(int), axis=-1) == 0).mean()
    whole = contact_sheet(_concepts(("s0", "s2", "s2", "s2")), 0, samples, tile=80)
    assert grey > (np.ptp(np.asarray(whole).astype(int), axis=-1) == 0).mean()


def test_a_concept_without_pictures_has_a_sheet(samples: list[Sample]) -> None:
    assert contact_sheet(_concepts(("s0",)), 1, samples).width > 100
    bare = Concepts(torch.eye(2), "centroid", Site(0), (1, 1))
    assert contact_sheet(bare, 1, samples).width > 100


@pytest.mark.parametrize("words", [_ODD, _ODD[1:], (), ("",)])
def test_no_text_breaks_a_sheet(samples: list[Sample], words: tuple[str, ...]) -> None:
    name = "an-id-without-any-space-" * 20
    known = [replace(samples[0], id=name), replace(samples[1], id="🐶 שלום")]
    sheet = contact_sheet(_concepts((name, "🐶 שלום"), words), 0, known, columns=3, tile=90)
    assert sheet.width == 2 * (90 + 10) + 10


def test_lines_are_never_wider_than_asked() -> None:
    lettering = Lettering(14)
    for width in (20, 60, 200):
        for text in (*_ODD, " ".join(_ODD), "a few plain words of a sentence"):
            lines = lettering.wrapped(text, width, n_lines=2)
            assert len(lines) <= 2
            assert all(lettering.width_of(line) <= width for line in lines)
    assert lettering.wrapped("", 100) == []
    assert lettering.wrapped("two words", 400) == ["two words"]
    assert lettering.wrapped("one two three four", 40, n_lines=1)[0].endswith("…")


def test_letters_that_the_font_lacks_lose_their_accents() -> None:
    assert Lettering(14).wrapped("Kapitän café", 400) == ["Kapitan cafe"]


@pytest.mark.parametrize(("columns", "tile"), [(0, 100), (3, 8)])
def test_sheets_of_nothing_are_refused(samples: list[Sample], columns: int, tile: int) -> None:
    with pytest.raises(GroundingError, match=f"{columns} columns of {tile} pixels"):
        contact_sheet(_concepts(("s0",)), 0, samples, columns=columns, tile=tile)
