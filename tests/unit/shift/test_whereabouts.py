"""Shares of a shift that groups of modules leave and do: exact where they must be."""

import inspect
import math

import pytest
import torch
from tests.builders import build_adapter, edit_tensors
from tests.unit.shift.verdict_data import noise

from shiftlens.core.errors import LearnError
from shiftlens.models.address import Address
from shiftlens.models.loading import load_pair
from shiftlens.models.model import Model
from shiftlens.shift.whereabouts import (
    GroupShare,
    by_block,
    by_kind,
    module_sums,
    remainders,
    switched,
)

N, D = 80, 12
PICTURES = torch.arange(N) // 2

ADDRESS = Address("model.text.layers", 12, D, None, "lm_head", "model.vision", "model.projector")
MODULES = (
    "model.text.layers.2.attn.q_proj",
    "model.text.layers.10.attn.q_proj",
    "model.text.layers.2.mlp.up_proj",
    "model.text.layers_norm",
    "model.vision.blocks.0.q_proj",
    "model.projector",
    "lm_head",
)


@pytest.fixture
def whole() -> torch.Tensor:
    """Changes with a common part of length 2 and as much noise."""
    return 2 * torch.eye(D)[0] + 0.5 * noise(N, D, seed=1)


def test_nothing_off_leaves_all_and_all_off_leaves_nothing(whole: torch.Tensor) -> None:
    found = remainders(
        whole, {"none": whole, "all": torch.zeros_like(whole), "half": whole / 2}, PICTURES
    )
    assert found["none"].share.to_dict() == {"estimate": 1.0, "low": 1.0, "high": 1.0}
    assert found["none"].cosine.estimate == pytest.approx(1.0, abs=1e-12)
    assert found["all"].share.to_dict() == {"estimate": 0.0, "low": 0.0, "high": 0.0}
    assert math.isnan(found["all"].cosine.estimate)
    # Twin: half of the change is neither, to the bit as well, since halving is exact.
    assert found["half"].share.to_dict() == {"estimate": 0.25, "low": 0.25, "high": 0.25}


def test_noise_that_a_group_adds_is_no_share_of_the_shift(whole: torch.Tensor) -> None:
    noisy = 3.0 * noise(N, D, seed=2)
    found = remainders(whole, {"noise": noisy}, PICTURES)["noise"]
    assert found.share.low < 0 < found.share.high
    plain = noisy.mean(dim=0).square().sum() / whole.mean(dim=0).square().sum()
    assert float(plain) > 0.1, "twin: squared means would have called it a share"


def test_shares_of_two_directions_add_up_and_of_equal_ones_do_not(whole: torch.Tensor) -> None:
    one, other = whole.clone(), whole.clone()
    one[:, 1:], other[:, :1] = 0.0, 0.0
    parts = remainders(whole, {"one": one, "other": other}, PICTURES)
    apart = [GroupShare(n, 1, parts[m], parts[n]) for n, m in (("one", "other"), ("other", "one"))]
    assert module_sums(apart)["alone"] == pytest.approx(1.0)
    assert module_sums(apart)["removed"] == pytest.approx(1.0)
    twice = remainders(whole, {"half": whole / 2}, PICTURES)["half"]
    alike = [GroupShare(name, 1, twice, twice) for name in ("a", "b")]
    assert module_sums(alike) == pytest.approx({"alone": 0.5, "removed": 1.5})


def test_the_order_of_rows_and_pictures_decides_nothing(whole: torch.Tensor) -> None:
    part = whole * torch.linspace(0, 1, D)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(3))
    left = remainders(whole, {"p": part}, PICTURES)["p"]
    right = remainders(whole[order], {"p": part[order]}, PICTURES[order])["p"]
    for name in ("share", "cosine"):
        ours, theirs = getattr(left, name).to_dict(), getattr(right, name).to_dict()
        assert ours == pytest.approx(theirs)
    torn = remainders(whole, {"p": part[order].roll(1, 0) * order[:, None] / N}, PICTURES)["p"]
    assert torn.share.to_dict() != pytest.approx(left.share.to_dict())


def test_what_has_no_shares_is_refused(whole: torch.Tensor) -> None:
    with pytest.raises(LearnError, match="not larger than its noise"):
        remainders(torch.zeros_like(whole), {}, PICTURES)
    with pytest.raises(LearnError, match="1 pictures are too few"):
        remainders(whole, {}, torch.zeros(N, dtype=torch.long))
    # Unwrapped: in tests, and only there, the shapes are checked before the function runs.
    with pytest.raises(LearnError, match="79 changes for 80 rows"):
        inspect.unwrap(remainders)(whole, {"p": whole[1:]}, PICTURES)


def test_modules_are_grouped_by_kind_and_by_block() -> None:
    assert {name: len(names) for name, names in by_kind(MODULES).items()} == {
        "layers_norm": 1, "lm_head": 1, "projector": 1, "q_proj": 3, "up_proj": 1,
    }  # fmt: skip
    blocks = by_block(MODULES, ADDRESS)
    assert list(blocks) == ["block 2", "block 10", "other", "projector", "vision"]
    assert blocks["block 2"] == (MODULES[0], MODULES[2])
    assert blocks["other"] == ("model.text.layers_norm", "lm_head")


def test_groups_are_switched_off_and_left_alone(tiny_path, tmp_path) -> None:
    _, tuned = load_pair(tiny_path, build_adapter(tiny_path, tmp_path / "a"))
    names = tuned.adapter_modules()
    first = by_block(names, tuned.address)["block 0"]
    without, alone = switched(tuned, "block 0", first)
    assert (without.label, alone.label) == ("without-block-0", "only-block-0")
    assert without.modules_off == {*first}
    assert alone.modules_off == {*names} - {*first}
    everything, same = switched(tuned, "all", names)
    assert everything.modules_off == {*names}
    assert same.modules_off == frozenset()


@pytest.fixture
def one_block(tiny_path, tmp_path) -> tuple[Model, Model]:
    """An adapter that is in every block, and changes something in block 1 alone."""
    path = build_adapter(tiny_path, tmp_path / "one")

    def silence(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            if "lora_B" in name and ".layers.1." not in name:
                tensor.zero_()

    edit_tensors(path / "adapter_model.safetensors", silence)
    return load_pair(tiny_path, path)


def test_an_adapter_of_one_block_is_found_there(one_block, questions) -> None:
    from shiftlens.models.generation import forward
    from shiftlens.models.hooks import record
    from shiftlens.models.prompts import encode

    base, tuned = one_block

    def states(model: Model) -> torch.Tensor:
        with record(model, [3]) as seen:
            forward(model, encode(model, questions))
        return seen.states[3][0][:, -1]

    groups = by_block(tuned.adapter_modules(), tuned.address)
    assert list(groups) == ["block 0", "block 1", "block 2", "block 3"]
    before, numbers = states(base), torch.arange(len(questions))
    left: dict[str, torch.Tensor] = {}
    for group, names in groups.items():
        without, alone = switched(tuned, group, names)
        left |= {f"{group}-": states(without) - before, group: states(alone) - before}
    found = remainders(states(tuned) - before, left, numbers)
    shares = {name: one.share.estimate for name, one in found.items()}
    assert shares == {
        "block 0-": 1.0, "block 0": 0.0, "block 1-": 0.0, "block 1": 1.0,
        "block 2-": 1.0, "block 2": 0.0, "block 3-": 1.0, "block 3": 0.0,
    }  # fmt: skip
