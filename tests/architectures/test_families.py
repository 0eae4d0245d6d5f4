"""Every family of the table: addresses, batches, states while generating, steering, files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.architectures.cases import Case, digests
from tests.architectures.families.table import FAMILIES
from tests.architectures.runs import (
    NEW_TOKENS,
    apart,
    emitted,
    read,
    readable,
    readout_error,
    tolerance,
    trails_apart,
    unmasked,
)
from tests.builders import build_vector
from torch import Tensor

import shiftlens as sl
from shiftlens.activations.capture import catch_given, catch_own
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import last_prompt, mean_response
from shiftlens.core.errors import DataError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.checking import hidden_states_of
from shiftlens.models.generation import forward, generate
from shiftlens.models.hooks import edit, state_of
from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn, encode_turns
from shiftlens.models.roles import Roles


class _Interrupted(Exception):
    pass


def test_the_number_of_families() -> None:
    names = [family.name for family in FAMILIES]
    print(f"{len(names)} families: {', '.join(names)}")  # noqa: T201
    assert len(set(names)) == len(names)
    assert len(names) >= 25


# --- addresses


def test_a_hook_sees_what_torch_sees(case: Case) -> None:
    model, seen = case.model, list[Tensor]()
    inputs = case.together[0].inputs
    blocks = [model.address.block(model.hf, layer) for layer in range(model.address.n_layers)]
    handles = [
        block.register_forward_hook(lambda _block, _args, output: seen.append(output))
        for block in blocks
    ]
    try:
        states, output = read(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    hidden = hidden_states_of(output)
    assert len(seen) == len(blocks) == len(hidden) - 1
    for layer, raw in enumerate(seen):
        assert states[layer].equal(state_of(raw))
        if layer < len(blocks) - 1:
            assert states[layer].equal(hidden[layer + 1])


def test_twin_another_block_is_another_state(case: Case) -> None:
    run = case.together[0]
    for layer in range(1, case.model.address.n_layers):
        assert apart(run.prompt[layer][None], run.hidden[layer][None]) > 100 * tolerance(case.model)


def test_norm_and_unembedding_of_the_last_state_are_the_logits(case: Case) -> None:
    for run in case.together:
        _, barred = readable(case.model, run)
        assert bool(barred.any()) == case.family.masked
        assert readout_error(case.model, run.prompt[-1], run) <= tolerance(case.model)


def test_twin_the_state_before_the_last_block_does_not_give_them(case: Case) -> None:
    run = case.together[0]
    assert readout_error(case.model, run.prompt[-2], run) > 100 * tolerance(case.model)


# --- theorem: a batch is its samples


def test_a_batch_is_its_samples_one_by_one(case: Case) -> None:
    _require_variety(case)
    for run, alone in zip(case.together, case.alone, strict=True):
        for row, one in enumerate(alone):
            n = emitted(run.said[row])
            assert apart(run.prompt[:, row, run.real(row)], one.prompt[:, 0]) <= tolerance(
                case.model
            )
            assert apart(run.trail[:, row, :n], one.trail[:, 0, :n]) <= tolerance(case.model)
            logits = run.logits[row, -1], one.logits[0, -1]
            assert apart(logits[0][None], logits[1][None]) <= tolerance(case.model)
        assert run.tokens == [one.tokens[0] for one in alone]


def _require_variety(case: Case) -> None:
    """Or the theorem would hold for a model that never listens, or where nothing is padded."""
    seen = case.together[0]
    assert len(set(seen.tokens)) > 1
    assert max(map(len, seen.tokens)) >= 3
    assert not all(bool(seen.real(row).all()) for row in range(len(seen.inputs)))
    if case.family.geometry in ("tiles", "dynamic", "packed"):
        tokens = Roles.of(case.model, seen.inputs).image.sum(dim=1).tolist()
        pictures = [len(turn.images) for turn in case.batches[0]]
        assert len({n / k for n, k in zip(tokens, pictures, strict=True) if k}) > 1


def test_twin_padding_that_is_not_masked_is_heard(case: Case) -> None:
    run = case.together[0]
    states, _ = read(case.model, unmasked(run.inputs))
    worst = max(
        apart(states[:, row, run.real(row)], one.prompt[:, 0])
        for row, one in enumerate(case.alone[0])
    )
    assert worst > 100 * tolerance(case.model)


# --- theorem: the states of generation are the teacher-forced ones


def test_reading_a_response_is_having_said_it(case: Case) -> None:
    site = Site(tuple(range(case.model.address.n_layers)), mean_response())
    for batch in case.batches:
        own = catch_own(case.model, batch, site, NEW_TOKENS)
        given = catch_given(case.model, batch, site, own.responses)
        assert trails_apart(own.states, given.states, own.responses) <= tolerance(case.model)


def test_twin_reading_another_response_is_not(case: Case) -> None:
    site, batch = Site((0, -1), mean_response()), case.batches[0]
    own = catch_own(case.model, batch, site, NEW_TOKENS)
    row = next(at for at, said in enumerate(own.responses) if len(said.token_ids) >= 3)
    first, *rest = own.responses[row].token_ids
    words = case.model.tokenizer.convert_tokens_to_ids(["dog", "cat"])
    other = next(token for token in words if token != first)
    changed = list(own.responses)
    changed[row] = replace(changed[row], token_ids=(other, *rest))
    given = catch_given(case.model, batch, site, changed)
    assert trails_apart(own.states, given.states, changed) > 100 * tolerance(case.model)
    # What came before the changed token does not know of it.
    before = {layer: states[:, :1] for layer, states in given.states.items()}
    assert apart(_first(own.states), _first(before)) <= tolerance(case.model)


def _first(states: dict[int, Tensor]) -> Tensor:
    return torch.stack([one[:, 0] for one in states.values()])


# --- steering


@pytest.mark.parametrize("fails", [False, True], ids=["ends", "raises"])
def test_steering_changes_logits_and_gives_the_model_back(case: Case, fails: bool) -> None:
    model, inputs = case.model, case.together[0].inputs
    before, hooks = forward(model, inputs).logits, _hooks(model)
    vector = build_vector(model.address.d, layer=1, length=50.0)
    try:
        with sl.steer(model, vector):
            assert not forward(model, inputs).logits.allclose(before, atol=1e-2)
            if fails:
                raise _Interrupted
    except _Interrupted:
        assert fails
    assert forward(model, inputs).logits.equal(before)
    assert _hooks(model) == hooks


def test_steering_changes_what_is_said_at_every_step(case: Case) -> None:
    model, inputs = case.model, case.together[0].inputs
    with sl.steer(model, build_vector(model.address.d, layer=2, length=200.0)) as receipt:
        steered = generate(model, inputs, max_new_tokens=NEW_TOKENS)
    assert [one.token_ids for one in steered] != case.together[0].tokens
    assert generate(model, inputs, max_new_tokens=NEW_TOKENS) == case.together[0].said
    # Every position that emitted a token, the end included, was steered; what is read after a
    # padding token cannot be told from what is read after the end.
    padding = model.tokenizer.pad_token_id
    steps = {place.sample: place.tokens for place in receipt.vectors[0].places}
    told = [row for row, one in enumerate(steered) if padding not in one.token_ids]
    assert told
    assert [steps[row] for row in told] == [emitted(steered[row]) for row in told]


@pytest.mark.parametrize("layer", [0, -1])
def test_an_edit_that_fails_is_taken_out(case: Case, layer: int) -> None:
    model, inputs = case.model, case.together[0].inputs
    before, hooks = forward(model, inputs).logits, _hooks(model)
    with edit(model, layer, lambda state: state.flip(-1) + 1):
        assert not forward(model, inputs).logits.allclose(before, atol=1e-2)
    with pytest.raises(_Interrupted), edit(model, layer, _interrupt):
        forward(model, inputs)
    assert forward(model, inputs).logits.equal(before)
    assert _hooks(model) == hooks


def _interrupt(_state: Tensor) -> Tensor:
    raise _Interrupted


def _hooks(model: Model) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.hf.modules()
    )


# --- files


def test_loading_and_harvesting_leave_the_files_as_they_were(case: Case, tmp_path: Path) -> None:
    paths = [tmp_path / f"{at}.png" for at in range(2)]
    for path, image in zip(paths, case.images, strict=False):
        image.save(path)
    asked = [Sample(path.stem, "what is this ?", (str(path),)) for path in paths]
    site = Site(-1, last_prompt())
    store = sl.harvest(case.model, Samples(asked), site, tmp_path / "run", max_new_tokens=2)
    again = sl.ActivationStore.open(tmp_path / "run")
    again.verify()
    turns = [Turn(s.prompt, (image,)) for s, image in zip(asked, case.images, strict=False)]
    caught = catch_own(case.model, turns, Site(-1, mean_response()), 2)
    (states,) = caught.states.values()
    assert again.states().equal(store.states())
    assert again.states().equal(states[:, 0])
    assert digests(case.path) == case.files


# --- what a family cannot do


def test_what_a_family_cannot_read_is_refused(case: Case) -> None:
    square, other = case.images[2], case.images[1]
    two, none = Turn("what is this ?", (square, other)), Turn("what is this ?")
    cannot: list[list[Turn]] = []
    if not case.family.several_pictures:
        cannot.append([two])
    if not case.family.text_only:
        cannot.append([none])
    if not case.family.mixed:
        cannot.append([Turn("what is this ?", (square,)), none])
    if case.family.even:
        cannot.append([Turn("what is this ?", (square,)), two])
    for batch in cannot:
        with pytest.raises(DataError):
            generate(case.model, encode_turns(case.model, batch), max_new_tokens=1)
