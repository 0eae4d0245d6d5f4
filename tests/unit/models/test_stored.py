"""What a copy was rounded to is read from its files."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.builders import edit_tensors

from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.stored import coarsest_eps, stored_types


def test_types_of_all_files_count(tmp_path: Path) -> None:
    assert stored_types(tmp_path) == set()
    save_file(
        {"a": torch.zeros(1), "n": torch.zeros(1, dtype=torch.int8)}, tmp_path / "1.safetensors"
    )
    assert stored_types(tmp_path) == {torch.float32}  # whole numbers have no last digit
    save_file({"b": torch.zeros(1, dtype=torch.float16)}, tmp_path / "2.safetensors")
    assert stored_types(tmp_path) == {torch.float32, torch.float16}


@pytest.mark.parametrize(
    ("stored", "loaded", "coarsest"),
    [
        (torch.float32, "float32", torch.float32),
        (torch.bfloat16, "float32", torch.bfloat16),
        (torch.float32, "float16", torch.float16),
        (torch.float16, "bfloat16", torch.bfloat16),
    ],
)
def test_the_coarsest_of_memory_and_disk_counts(
    tiny: Model, copied: Path, stored: torch.dtype, loaded: str, coarsest: torch.dtype
) -> None:
    def cast(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: tensor.to(stored) for name, tensor in tensors.items()})

    edit_tensors(copied / "model.safetensors", cast)
    other = load_model(copied, dtype=loaded)
    assert coarsest_eps(tiny, other) == coarsest_eps(other, tiny) == torch.finfo(coarsest).eps
