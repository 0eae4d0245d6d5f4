"""The user's path, for every family: files on disk, one call, whatever may stand in a batch."""

from pathlib import Path

import pytest
import torch
from tests.architectures.cases import Case

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.prompts import Turn


def _saved(case: Case, folder: Path) -> Samples:
    """What the family is asked, all of it in one collection, with its pictures in files."""
    folder.mkdir(exist_ok=True)
    names = {}
    for number, image in enumerate(case.images):
        image.save(folder / f"{number}.png")
        names[id(image)] = str(folder / f"{number}.png")
    turns: list[Turn] = [turn for batch in case.batches for turn in batch]
    return Samples(
        [
            Sample(f"s{at}", turn.prompt, tuple(names[id(one)] for one in turn.images))
            for at, turn in enumerate(turns)
        ]
    )


def test_what_cannot_stand_in_one_batch_is_harvested_all_the_same(
    case: Case, tmp_path: Path
) -> None:
    """Mllama wants equally many pictures a row, PaliGemma a picture in each: batches shrink."""
    samples = _saved(case, tmp_path / "pictures")
    # Reversed, so that rows of different kinds meet in batches that the suite did not make.
    mixed = Samples(list(samples)[::-1])
    site = Site(-1, tokens.last_prompt())
    store = harvest(case.model, mixed, site, tmp_path / "all", max_new_tokens=2)
    assert store.quarantine == []
    assert store.counts == {"matched": len(samples), "missed": 0, "failed": 0}
    alone = harvest(case.model, mixed, site, tmp_path / "one", max_new_tokens=2, batch_size=1)
    assert store.sample_ids == alone.sample_ids
    scale = float(alone.states().abs().max())
    torch.testing.assert_close(store.states(), alone.states(), rtol=0, atol=1e-4 * scale)
    assert store.responses == alone.responses


def test_a_broken_picture_is_named_and_the_others_go_on(case: Case, tmp_path: Path) -> None:
    samples = _saved(case, tmp_path / "pictures")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    bad = Sample("bad", "what is this ?", (str(tmp_path / "broken.png"),))
    given = Samples([samples[0], bad, samples[1]])
    store = harvest(case.model, given, Site(0), tmp_path / "s", max_new_tokens=1)
    assert [one["id"] for one in store.quarantine] == ["bad"]
    assert store.sample_ids == ["s0", "s1"]


@pytest.mark.parametrize("number", [0])
def test_tokens_of_one_picture(case: Case, tmp_path: Path, number: int) -> None:
    """As many states as the picture has tokens, named by their patches where those have places."""
    samples = _saved(case, tmp_path / "pictures")
    site = Site(1, tokens.image(number))
    store = harvest(
        case.model, samples, site, tmp_path / "s", max_new_tokens=1, allow_empty=True, batch_size=4
    )
    seen = sum(bool(one.images) for one in samples)
    if case.family.model_type == "mllama":  # its one token of a picture stands for no piece of it
        return
    assert store.counts["matched"] == seen
    named = [row for row in store.rows if row.word.startswith(f"image {number} patch ")]
    assert bool(named) == (case.family.geometry != "resampled")
