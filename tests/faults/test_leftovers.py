"""What writers had not renamed when they were killed is taken away by the run that goes on."""

from pathlib import Path

import pytest
from tests.builders import build_llava

from shiftlens.activations.harvesting import harvest
from shiftlens.activations.in_turn import harvest_pair
from shiftlens.activations.site import Site
from shiftlens.core.locking import locked
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model

SITE, OPTIONS = Site(-1), {"max_new_tokens": 2, "part_size": 2}
_NAMES = (".shard-00001.safetensors.a1_b.tmp", ".manifest.json.c2.tmp", ".pair.json.d3.tmp")


def _leave(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name in _NAMES:
        (root / name).write_bytes(b"half")


def _left(root: Path) -> set[str]:
    return {one.name for one in root.iterdir()} & {*_NAMES}


def test_they_are_gone_when_a_run_goes_on(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    samples, out = Samples(questions), tmp_path / "out"
    _leave(out)
    harvest(tiny, samples, SITE, out, **OPTIONS)
    assert not _left(out)


def test_shares_leave_each_other_s_until_the_last_has_ended(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    samples, out = Samples(questions), tmp_path / "out"
    _leave(out)
    harvest(tiny, samples, SITE, out, **OPTIONS, part=(1, 2))
    assert _left(out) == {*_NAMES}, "another share may be writing them now"
    harvest(tiny, samples, SITE, out, **OPTIONS, part=(2, 2))
    assert not _left(out)


def test_a_run_that_is_refused_takes_nothing_away(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _leave(out)
    with locked(out), pytest.raises(OSError, match="is being written by"):
        harvest(tiny, Samples(questions), SITE, out, **OPTIONS)
    assert _left(out) == {*_NAMES}


def test_the_proof_of_a_pair_leaves_none(
    tiny_path: Path, questions: list[Sample], tmp_path: Path
) -> None:
    out, other = tmp_path / "out", build_llava(tmp_path / "tuned", seed=3)
    for root in (out, out / "base", out / "tuned"):
        _leave(root)
    harvest_pair(tiny_path, other, Samples(questions[:2]), SITE, out, **OPTIONS)
    assert (out / "pair.json").exists()
    assert not any(map(_left, (out, out / "base", out / "tuned")))
