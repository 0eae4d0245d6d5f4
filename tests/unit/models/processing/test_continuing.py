"""Responses behind prompts: what a family's extra tensors hold there."""

from pathlib import Path

import torch
from tests.architectures.families.tiled_beside import build_mllama
from tests.architectures.families.tiled_gemma import build_gemma3, build_paligemma

from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.processing.continuing import continued


def _prompts() -> dict[str, torch.Tensor]:
    return {
        "input_ids": torch.tensor([[0, 5, 6], [7, 8, 9]]),
        "attention_mask": torch.tensor([[0, 1, 1], [1, 1, 1]]),
    }


def test_tokens_are_padded_on_the_right_and_masked(tiny: Model) -> None:
    longer = continued(tiny, _prompts(), [[4], [5, 6]])
    assert longer["input_ids"].tolist() == [[0, 5, 6, 4, 0], [7, 8, 9, 5, 6]]
    assert longer["attention_mask"].tolist() == [[0, 1, 1, 1, 0], [1, 1, 1, 1, 1]]


def test_what_has_no_column_a_position_stays_as_it_is(tiny: Model) -> None:
    pixels = torch.rand(2, 3, 24, 24)
    assert continued(tiny, _prompts() | {"pixel_values": pixels}, [[4], [5]])["pixel_values"].equal(
        pixels
    )


def test_a_response_of_paligemma_is_of_another_type_than_its_prompt(tmp_path: Path) -> None:
    model = load_model(build_paligemma(tmp_path / "model", 0))
    prompts = _prompts() | {"token_type_ids": torch.zeros(2, 3, dtype=torch.long)}
    longer = continued(model, prompts, [[4], [5, 6]])
    assert longer["token_type_ids"].tolist() == [[0, 0, 0, 1, 1]] * 2


def test_one_of_gemma3_is_text(tmp_path: Path) -> None:
    model = load_model(build_gemma3(tmp_path / "model", 0))
    prompts = _prompts() | {"token_type_ids": torch.tensor([[0, 1, 0], [1, 1, 0]])}
    longer = continued(model, prompts, [[4], [5, 6]])
    assert longer["token_type_ids"].tolist() == [[0, 1, 0, 0, 0], [1, 1, 0, 0, 0]]


def test_one_of_mllama_looks_at_what_its_prompt_looked_at_last(tmp_path: Path) -> None:
    model = load_model(build_mllama(tmp_path / "model", 0))
    mask = torch.zeros(2, 3, 1, 4, dtype=torch.long)
    mask[0, 1:, 0, :2] = mask[1, :, 0, :3] = 1
    longer = continued(model, _prompts() | {"cross_attention_mask": mask}, [[4], [5, 6]])
    found = longer["cross_attention_mask"]
    assert found.shape == (2, 5, 1, 4)
    assert found[:, 3:].equal(mask[:, -1:].expand(-1, 2, -1, -1))
