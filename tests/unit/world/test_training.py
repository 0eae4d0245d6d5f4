"""Training: a run that was stopped ends where an uninterrupted one ends; a tiny world is whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import shiftlens
from shiftlens.core.progress import Silent
from shiftlens.world.training.loop import Group, Recipe, train_stage

_RECIPE = Recipe("line", steps=12, rate=0.05, warmup=2, averaging=0.5, save_every=4)
_CPU = torch.device("cpu")


class _Stopped(Exception):
    pass


def _train(folder: Path, stop: int | None = None, seed: int = 0) -> torch.Tensor:
    """Fit a line to noisy points; raise at a step as a kill would stop it there."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    done = [0]

    def loss(rng: np.random.Generator) -> torch.Tensor:
        done[0] += 1
        if stop is not None and done[0] > stop:
            raise _Stopped
        x = torch.from_numpy(rng.standard_normal((16, 3)).astype("float32"))
        return (model(x) - x.sum(dim=1, keepdim=True)).float().square().mean()

    train_stage(
        _RECIPE,
        [Group([*model.parameters()])],
        loss,
        seed=seed,
        folder=folder,
        device=_CPU,
        progress=Silent(),
    )
    return model.weight.detach().clone()


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal but for the last bits, which depend on where the allocator puts a tensor.

    Twelve steps of Adam make a difference in the last place one in the fourth; other batches are
    ten times further apart.
    """
    return torch.allclose(one, other, rtol=0, atol=1e-3)


@pytest.mark.parametrize("stop", [2, 5, 11])
def test_a_stopped_run_ends_where_an_uninterrupted_one_ends(tmp_path: Path, stop: int) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = _train(tmp_path / "whole")
    with pytest.raises(_Stopped):
        _train(tmp_path / "parts", stop)
    assert _close(_train(tmp_path / "parts"), whole)


def test_twin_other_batches_end_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert not _close(_train(tmp_path / "one"), _train(tmp_path / "two", seed=1))


def test_a_finished_stage_is_not_trained_again(tmp_path: Path) -> None:
    first = _train(tmp_path)
    assert _train(tmp_path, stop=0).equal(first)


# Both come from PEFT and transformers themselves, while an adapter is wrapped and saved.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
@pytest.mark.filterwarnings("ignore:Could not find a config file:UserWarning")
@pytest.mark.slow
def test_a_tiny_world_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stage, a few steps each: what comes out loads, pairs, speaks and has its card."""
    from shiftlens.world.training import running

    monkeypatch.setattr(running, "VISION_BATCH", 8)
    monkeypatch.setattr(running, "LANGUAGE_BATCH", 8)
    monkeypatch.setattr(running, "ADAPTER_BATCH", 8)
    monkeypatch.setattr(running, "JUDGE_BATCH", 8)
    few = {style: replace(recipe, steps=4000) for style, recipe in running.ADAPTERS.items()}
    monkeypatch.setattr(running, "ADAPTERS", few)
    running.train(tmp_path / "out", checkpoints=tmp_path / "checkpoints", scale=0.005)
    for style in ("places", "colors", "moods"):
        shiftlens.load_pair(tmp_path / "out" / "base", tmp_path / "out" / style)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| caption subject |" in card
    assert "scale 0.005" in card
