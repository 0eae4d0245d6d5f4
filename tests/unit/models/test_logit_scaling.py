"""The scale and the cap of logits are measured, whatever the configuration says about them."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.builders import edit_json
from torch import Tensor

from shiftlens.models.loading import load_model
from shiftlens.models.logit_scaling import LogitScaling, measure_scaling
from shiftlens.models.model import Model


def _measured(
    *,
    scale: float = 1.0,
    cap: float | None = None,
    dtype: torch.dtype = torch.float32,
    **fields: Any,
) -> LogitScaling:
    def behind_head(raw: Tensor) -> Tensor:
        scaled = raw.to(dtype) * scale
        return (scaled if cap is None else torch.tanh(scaled / cap) * cap).float()

    return measure_scaling(behind_head, SimpleNamespace(**fields))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1.0, 0.0625, 0.7, 1 / 6, 8.0, 16.0])
@pytest.mark.parametrize("cap", [None, 4.0, 30.0, 50.0])
def test_what_the_configuration_names_is_found_exactly(
    scale: float, cap: float | None, dtype: torch.dtype
) -> None:
    found = _measured(scale=scale, cap=cap, dtype=dtype, a=scale, b=cap, c=0.3, d="text", e=True)
    assert found == LogitScaling(scale, cap)


def test_a_number_that_divides_is_found_exactly() -> None:
    assert _measured(scale=1 / 6.3, logits_scaling=6.3) == LogitScaling(1 / 6.3)


def test_twin_a_number_that_is_named_and_not_used_is_not_found() -> None:
    assert _measured(logit_scale=0.0625, final_logit_softcapping=30.0) == LogitScaling()


def test_what_no_number_names_is_measured() -> None:
    found = _measured(scale=0.123, cap=17.0, hidden_size=32)
    assert found.scale == pytest.approx(0.123, rel=1e-3)
    assert found.soft_cap == pytest.approx(17.0, rel=1e-3)


def test_a_model_without_any_has_none(tiny: Model) -> None:
    assert tiny.scaling == LogitScaling()


def test_a_name_in_the_configuration_changes_no_readout(tiny: Model, copied: Any) -> None:
    """As in Aya Vision, whose text configuration names a scale that the model never applies."""
    edit_json(copied / "config.json", logit_scale=0.25, final_logit_softcapping=3.0)
    model = load_model(copied)
    model.hf.config.get_text_config().logit_scale = 0.25
    states = torch.randn(2, model.address.d)
    assert model.readout.logits(states).equal(tiny.readout.logits(states))
