"""A survey whose answers were changed or cut off on the disk is refused, by the file's name."""

import random
from pathlib import Path

import pytest

from shiftlens.activations.survey import survey
from shiftlens.core.errors import StoreError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.loading import load_pair
from shiftlens.models.model import Model

OPTIONS = {"max_new_tokens": 3, "part_size": 3}


@pytest.fixture(scope="module")
def tiny_pair(tiny_path: Path, tiny_adapter_path: Path) -> tuple[Model, Model]:
    return load_pair(tiny_path, tiny_adapter_path)


def test_answers_that_are_not_what_was_written_are_named_and_done_again(
    tiny_pair: tuple[Model, Model], questions: list[Sample], tmp_path: Path
) -> None:
    samples, out, drawn = Samples(questions), tmp_path / "answers", random.Random(0)
    rows = survey(*tiny_pair, samples, out, **OPTIONS).rows
    file = out / "answers-00001.parquet"
    whole = file.read_bytes()
    for at in range(0, len(whole), 301):
        changed = bytearray(whole)
        changed[at] ^= 1 << drawn.randrange(8)
        for damaged in (bytes(changed), whole[:at]):
            file.write_bytes(damaged)
            with pytest.raises(StoreError, match=r"answers-00001\.parquet is missing or damaged"):
                survey(*tiny_pair, samples, out, **OPTIONS)
    file.unlink()  # as the error says
    assert survey(*tiny_pair, samples, out, **OPTIONS).rows == rows
    assert file.read_bytes() == whole
