"""What folds into biases is found in as many passes for many blocks as for one."""

from typing import Any

import pytest
import torch
from tests.builders import build_vector
from torch import nn

from shiftlens.models.model import Model
from shiftlens.steering.exporting.baking import folding, linears
from shiftlens.steering.exporting.baking.adding import bake_additions
from shiftlens.steering.exporting.baking.comparing import probing
from shiftlens.steering.exporting.baking.flags import Flags
from shiftlens.steering.exporting.baking.folding import Place, measure_factors
from shiftlens.steering.exporting.baking.linears import all_logits


def test_more_blocks_take_no_more_passes(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block once took seven passes of the whole model, which is hours where there are 32."""
    asked = probing(tiny, need_pictures=False).batches
    passes: list[int] = []
    for module in (folding, linears):
        one = module.forward

        def counted(*args: Any, one: Any = one) -> Any:
            passes.append(1)
            return one(*args)

        monkeypatch.setattr(module, "forward", counted)
    counts: list[int] = []
    for layers in ((1,), (0, 1, 2, 3)):
        passes.clear()
        added = {("language", layer): build_vector(seed=layer).direction for layer in layers}
        changes = bake_additions(tiny, added, asked)  # pyright: ignore[reportArgumentType]
        assert sum(one.values is not None for one in changes.biases) == len(layers)
        counts.append(len(passes))
    assert counts == [2 * len(asked)] * 2


def test_settings_are_asked_of_an_architecture_once(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []
    init = type(tiny.hf).__init__

    def counted(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        built.append(1)
        init(self, *args, **kwargs)

    monkeypatch.setattr(type(tiny.hf), "__init__", counted)
    flags = Flags(tiny)
    assert not built
    found = [flags.of(f"model.language_model.layers.{n}.mlp.down_proj") for n in range(4)]
    assert [str(one) for one in found] == ["text_config.mlp_bias"] * 4
    assert len(built) < 10
    assert flags.of("lm_head") is None


class _InPlace(nn.Module):
    """A block that writes into what it is given: run twice on that, it would count it twice."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, states: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        states *= 2
        return self.inner(states, **kwargs)


def test_the_model_says_the_same_while_its_blocks_run_twice(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = probing(tiny, need_pictures=True).batches
    before = all_logits(tiny, asked)
    seen: list[torch.Tensor] = []
    head = tiny.address.head(tiny.hf)
    handle = head.register_forward_hook(lambda _m, _a, out: seen.append(out.clone()))  # pyright: ignore
    block = tiny.address.block(tiny.hf, 1)
    place = Place(block, block.get_submodule("mlp.down_proj"), build_vector().direction)
    assert measure_factors(tiny, [place], asked) == [1.0]
    handle.remove()
    for one, whole in zip(seen, before, strict=True):
        assert torch.allclose(one.reshape(-1, one.shape[-1])[-1], whole[-1], atol=1e-5)
    assert all(
        torch.equal(one, two) for one, two in zip(all_logits(tiny, asked), before, strict=True)
    )
    blocks: Any = tiny.hf.get_submodule(tiny.address.blocks_path)
    wrapped = _InPlace(block)
    monkeypatch.setitem(blocks._modules, "1", wrapped)
    place = Place(wrapped, block.get_submodule("mlp.down_proj"), build_vector().direction)
    assert measure_factors(tiny, [place], asked) == [1.0]
