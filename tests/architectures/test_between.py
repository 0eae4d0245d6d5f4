"""Between two blocks nothing happens, but where a family says so."""

import torch
from tests.architectures.cases import Case

from shiftlens.models.between import added_after
from shiftlens.models.hooks import record
from shiftlens.models.prompts import encode_turns

# Layers after which features of pictures are added, by model type.
_DEEP = {"granite_docling": (0, 1), "qwen3_vl": (0, 1)}


def test_what_leaves_a_block_enters_the_next(case: Case) -> None:
    for run in case.together:
        sees = any(run.inputs.sizes)
        expected = _DEEP.get(case.family.model_type, ()) if sees else ()
        assert added_after(case.model, run.inputs) == expected


def test_twin_an_addition_between_blocks_is_found(case: Case) -> None:
    model, inputs = case.model, case.together[0].inputs
    block = model.address.block(model.hf, 2)

    def add(_block: object, args: tuple[torch.Tensor, ...], kwargs: dict[str, object]) -> object:
        if args:
            return (args[0] + 1e-3, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": kwargs["hidden_states"] + 1e-3}  # type: ignore

    handle = block.register_forward_pre_hook(add, with_kwargs=True)
    try:
        assert 1 in added_after(model, inputs)
    finally:
        handle.remove()
    assert 1 in _DEEP.get(case.family.model_type, ()) or 1 not in added_after(model, inputs)


def test_the_model_is_given_back(case: Case) -> None:
    model, inputs = case.model, encode_turns(case.model, case.batches[0])
    hooks = [len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.hf.modules()]
    added_after(model, inputs)
    left = [len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.hf.modules()]
    assert left == hooks
    with record(model, [0]) as seen:
        added_after(model, inputs)
    assert len(seen.states[0]) == 1
