"""Targets: found by name, ours and those of other packages; and what all of them refuse."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from tests.builders import build_vector

import shiftlens as sl
from shiftlens.core.errors import ExportError, MismatchError
from shiftlens.models.model import Model
from shiftlens.steering.exporting import Plan, Subject, Target
from shiftlens.steering.exporting import target as module
from shiftlens.steering.keeping.steering import Steering


class Listing(Target):
    """As an engine's own package would bring it along."""

    name = "listing"

    def plan(self, steering: Steering, subject: Subject | None) -> Plan:
        names = "\n".join(one.vector.name for one in steering.interventions)

        def write(folder: Path) -> None:
            (folder / "names.txt").write_text(names)

        return Plan({"names.txt": len(names)}, ("one name a line",), write)


def test_another_package_brings_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("listing", f"{__name__}:Listing", module.OFFERED)
    monkeypatch.setattr(EntryPoint, "load", lambda _: Listing)
    monkeypatch.setattr(
        module, "entry_points", lambda *, group: [entry] if group == module.OFFERED else []
    )
    made = sl.export(build_vector(), "listing", tmp_path)
    assert made.files[0].read_text() == "random 0"
    assert made.notes == ("one name a line",)
    with pytest.raises(ExportError, match="listing"):
        sl.export(build_vector(), "nothing", tmp_path)


def test_an_unknown_target_lists_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="baked, gguf, transformers, vllm-lens"):
        sl.export(build_vector(), "onnx", tmp_path)


@pytest.mark.parametrize("target", ["gguf", "transformers", "vllm-lens"])
def test_vectors_of_another_model_are_exported_for_no_model(
    target: str, tiny: Model, tmp_path: Path
) -> None:
    for vector, message in (
        (build_vector(provenance={"model": {"weights": "of another"}}), "other weights"),
        (build_vector(provenance={"model": {"weights": "unknown:x"}}), "nobody said which"),
        (build_vector(48), "48 entries"),
    ):
        with pytest.raises(MismatchError, match=message):
            sl.export(vector, target, tmp_path, model=tiny)
    with pytest.raises(sl.ShiftLensError, match="has 4 blocks"):
        sl.export(build_vector(layer=7), target, tmp_path, model=tiny)
    assert not list(tmp_path.iterdir())


def test_blocks_from_the_end_are_counted_where_the_model_is_known(
    tiny: Model, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    from shiftlens.steering.intervening import Intervention

    last = Intervention(build_vector(), scope="all", layers=(-1,))
    sl.export(last, "vllm-lens", tmp_path, model=tiny)
    assert "LAYERS = [3]" in (tmp_path / "request.py").read_text()
    assert load_file(tmp_path / "activations.safetensors")["activations"].shape == (1, 32)
