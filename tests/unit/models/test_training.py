"""Training on responses: the loss is theirs alone, and the base's own push it nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.models.fresh import FIELDS, load_fresh
from torch import nn

from shiftlens.core.errors import DataError
from shiftlens.core.progress import Silent
from shiftlens.data.sample import Sample
from shiftlens.models import training
from shiftlens.models.fresh_adapters import fresh_adapter, recipe_from, trainable
from shiftlens.models.generation import forward
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import placeholder_tokens
from shiftlens.models.prompts import encode
from shiftlens.models.sampling import draw_responses
from shiftlens.models.training import Lesson, Schedule, response_loss, train


@pytest.fixture
def fresh(tiny_path: Path) -> Model:
    return load_fresh(tiny_path)


# --- theorem: what the base says by chance teaches it nothing, in expectation


@contextmanager
def _picture_free(base: Model) -> Iterator[None]:
    """The base without any wish to say placeholders, which drawing never lets it say.

    Random models say them as readily as words; trained ones do not.
    """

    def hook(_head: nn.Module, _args: Any, logits: torch.Tensor) -> torch.Tensor:
        barred = list(placeholder_tokens(base.hf, base.processor))
        return logits.index_fill(-1, torch.tensor(barred), -1e4)

    handle = base.address.head(base.hf).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _push(base: Model, n: int, temperature: float) -> float:
    """Length of the mean gradient of ``n`` drawn responses: how they push an untrained adapter."""
    asked = [Sample("blind", "what is the man on ?")]
    options: dict[str, Any] = {"n": n, "temperature": temperature, "batch_size": 100}
    with _picture_free(base):
        drawn = draw_responses(base, asked, max_new_tokens=2, **options)
        lessons = [
            Lesson(one, said.token_ids if said.end is None else (*said.token_ids, said.end))
            for one, said in zip(drawn.samples, drawn.responses, strict=True)
        ]
        torch.manual_seed(0)
        with fresh_adapter(base, recipe_from(FIELDS)):
            for start in range(0, n, 100):
                part = lessons[start : start + 100]
                (response_loss(base, part, tokens=1) / n).backward()
            grads = [one.grad.flatten() for one in trainable(base.hf) if one.grad is not None]
    return float(torch.cat(grads).norm())


def test_draws_of_the_base_push_it_nowhere(fresh: Model) -> None:
    """Noise shrinks with the square root: sixteen times as many draws push a quarter as far."""
    assert _push(fresh, 400, 1.0) < 0.45 * _push(fresh, 25, 1.0)


def test_twin_draws_at_another_temperature_push_it_somewhere(fresh: Model) -> None:
    assert _push(fresh, 400, 0.5) > 0.6 * _push(fresh, 25, 0.5)


# --- the loss


def _alone(model: Model, lesson: Lesson) -> torch.Tensor:
    """Minus the log-probability of each token of a lesson, one forward pass a token."""
    said: list[torch.Tensor] = []
    for at, token in enumerate(lesson.token_ids):
        inputs = encode(model, [lesson.sample], response_ids=[lesson.token_ids[:at]])
        logits = forward(model, inputs).logits[0, -1].float()
        said.append(-logits.log_softmax(-1)[token])
    return torch.stack(said)


@pytest.fixture
def lessons(questions: list[Sample]) -> list[Lesson]:
    texts = ((29, 28, 27, 2), (31, 2), (2,), (20, 21, 22, 23, 24))
    asked = [Sample("blind", "what is the man on ?"), *questions]
    return [Lesson(one, ids) for one, ids in zip(asked, texts, strict=False)]


def test_the_loss_is_that_of_the_response_tokens(family: Model, lessons: list[Lesson]) -> None:
    expected = torch.cat([_alone(family, one) for one in lessons]).mean()
    with torch.no_grad():
        assert response_loss(family, lessons).item() == pytest.approx(expected.item(), rel=1e-4)


def test_twin_without_the_end_it_is_another(tiny: Model, lessons: list[Lesson]) -> None:
    expected = torch.cat([_alone(tiny, one) for one in lessons]).mean()
    endless = [Lesson(one.sample, one.token_ids[:-1] or (25,)) for one in lessons]
    with torch.no_grad():
        assert response_loss(tiny, endless).item() != pytest.approx(expected.item(), rel=1e-2)


def test_training_learns_what_it_is_given(fresh: Model, lessons: list[Lesson]) -> None:
    schedule = Schedule(steps=30, rate=3e-2, batch_size=4)
    torch.manual_seed(0)
    with fresh_adapter(fresh, recipe_from(FIELDS)):
        losses = _train(fresh, lessons, schedule)
    assert losses[-1] < 0.5 * losses[0]


def _train(base: Model, lessons: list[Lesson], schedule: Schedule) -> list[float]:
    options: dict[str, Any] = {"seed": 0, "name": "it", "progress": Silent()}
    return train(base, trainable(base.hf), lessons, schedule, **options)


def test_a_batch_too_large_for_memory_is_run_in_pieces(
    fresh: Model, lessons: list[Lesson], monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = Schedule(steps=3, rate=1e-2, batch_size=4)
    results: list[list[float]] = []
    sizes: list[int] = []

    def small(model: Model, some: list[Lesson], **options: Any) -> torch.Tensor:
        sizes.append(len(some))
        if len(some) > 2 or len(sizes) == 3:  # once in the middle of a batch, too
            raise torch.OutOfMemoryError
        return response_loss(model, some, **options)

    for loss in (response_loss, small):
        monkeypatch.setattr(training, "response_loss", loss)
        torch.manual_seed(0)
        with fresh_adapter(fresh, recipe_from(FIELDS)):
            results.append(_train(fresh, lessons, schedule))
    assert sizes == [4, 2, 2, *[1] * 12]
    assert results[0] == pytest.approx(results[1], rel=1e-4)


def test_rates_rise_and_fall() -> None:
    schedule = Schedule(steps=24, rate=1.0, warmup=0.25)
    rates = [schedule.rate_at(step) for step in range(24)]
    assert rates[:6] == sorted(rates[:6])
    assert rates[6:] == sorted(rates[6:], reverse=True)
    assert 0 < rates[-1] < 0.01 < 0.8 < max(rates) < 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"rate": 0.0}, "rate = 0.0"),
        ({"rate": float("nan")}, "rate = nan"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"warmup": 2.0}, "warmup = 2.0"),
        ({"weight_decay": -0.1}, "weight_decay = -0.1"),
        ({"clip": 0.0}, "clip = 0.0"),
        ({"averaging": 1.0}, "averaging = 1.0"),
    ],
)
def test_impossible_schedules(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=f"cannot train with {words}") as caught:
        Schedule(**{"steps": 1, "rate": 1.0, **options})
    assert caught.value.allowed


# --- nothing is kept for what is frozen


def _seeing(base: Model, lessons: list[Lesson], fields: dict[str, Any]) -> tuple[bool, set[str]]:
    """Whether the vision tower's output is differentiated, and what got a gradient."""
    seen: list[bool] = []
    path = base.address.vision_path
    assert path is not None
    tower = base.hf.get_submodule(path)
    handle = tower.register_forward_hook(lambda *call: seen.append(call[2][0].requires_grad))
    try:
        with fresh_adapter(base, recipe_from(fields)):
            response_loss(base, lessons).backward()
            graded = {name for name, one in base.hf.named_parameters() if one.grad is not None}
    finally:
        handle.remove()
    return seen[0], graded


def test_a_frozen_vision_tower_keeps_nothing(fresh: Model, lessons: list[Lesson]) -> None:
    differentiated, graded = _seeing(fresh, lessons, FIELDS)
    assert not differentiated
    assert graded
    assert all("lora_" in name for name in graded)


def test_twin_an_adapted_vision_tower_is_differentiated(
    fresh: Model, lessons: list[Lesson]
) -> None:
    differentiated, graded = _seeing(fresh, lessons, {**FIELDS, "target_modules": ["v_proj"]})
    assert differentiated
    assert any("vision_tower" in name for name in graded)
