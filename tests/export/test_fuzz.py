"""The short form of ``python -m tests.export.fuzz``; and twins that it must catch."""

import pickle  # noqa: TID251 - the twin unpickles, which no reader of ours does
from pathlib import Path

import pytest
from tests.export import fuzz

from shiftlens.core.errors import StoreError


@pytest.mark.slow
def test_readers_refuse_or_read_and_do_nothing_else() -> None:
    tally = fuzz.run(1_500)
    assert tally.inputs >= 1_500
    names = {"SteeringVector", "Steering", "Concepts", "AffineEdit", "LinearGate", "GGUF"}
    assert names <= set(tally.refused)
    assert names <= set(tally.read), "some inputs are whole, or only the refusals were tried"


def _unpickles(path: Path) -> object:
    data = path.with_name(f"{path.name}.safetensors").read_bytes()
    try:
        return pickle.loads(data)
    except Exception as error:
        raise StoreError("damaged") from error


def _crashes(path: Path) -> object:
    raise StoreError("no") if path.with_name("x.json").stat().st_size % 2 else KeyError("site")


def _repeats(path: Path) -> object:
    raise StoreError(path.with_name("x.json").read_text(errors="replace") * 100)


@pytest.mark.slow
@pytest.mark.parametrize("reader", [_unpickles, _crashes, _repeats])
def test_twin_a_careless_reader_is_caught(
    reader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    usual = fuzz.saved

    def careless(folder: Path) -> list[fuzz.Case]:
        return [fuzz.Case(usual(folder)[0].name, reader, folder / "SteeringVector")]

    monkeypatch.setattr(fuzz, "saved", careless)
    with pytest.raises((AssertionError, KeyError)):
        fuzz.run(500)
