"""The probe is the same for everybody, says what it is, and knows what rounding does."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.builders import build_llava

from shiftlens.core.errors import DataError
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.probe import (
    Probe,
    difference,
    make_probe,
    probe_logits,
    rounding_bound,
)
from shiftlens.models.prompts import Turn


def test_every_family_can_be_asked_with_a_picture(family: Model) -> None:
    probe = make_probe(family)
    assert probe.pictures == ""
    assert str(probe) == "4 prompts, one with a picture"
    logits = probe_logits(family, probe)
    assert logits.shape == (4, family.hf.get_output_embeddings().out_features)
    assert len({tuple(row.tolist()) for row in logits}) == 4  # each prompt is answered otherwise
    assert probe_logits(family, make_probe(family)).equal(logits)


class _Blind:
    """A processor that takes no picture."""

    def __init__(self, processor: object) -> None:
        self._processor = processor

    def __getattr__(self, name: str) -> object:
        return getattr(self._processor, name)

    def __call__(self, *, images: object = None, **options: object) -> object:
        if images:
            raise ValueError("no eyes\nat all")
        return self._processor(images=None, **options)


def test_without_pictures_the_probe_says_why(tiny: Model) -> None:
    blind = replace(tiny, processor=_Blind(tiny.processor))
    probe = make_probe(blind)
    assert str(probe) == (
        "3 prompts, text only (the processor of "
        f"{tiny.name} cannot prepare these samples (no eyes))"
    )
    assert probe_logits(blind, probe).equal(probe_logits(tiny, make_probe(tiny))[:3])


def test_trained_tokens_follow_the_prompts(tiny: Model) -> None:
    picture = tiny.hf.config.image_token_id
    probe = make_probe(tiny, (7, picture, 9))
    assert probe.tokens == (7, 9)  # a placeholder of a picture is no text
    assert str(probe).endswith("followed by 2 trained tokens")
    assert not probe_logits(tiny, probe).equal(probe_logits(tiny, make_probe(tiny)))
    assert len(make_probe(tiny, tuple(range(5, 500))).tokens) == 64


def test_logits_that_are_not_numbers_are_refused(tiny_path: Path) -> None:
    model = load_model(tiny_path)
    with torch.no_grad():
        model.hf.get_output_embeddings().weight[3] = float("nan")
    with pytest.raises(DataError, match="logits that are not numbers") as caught:
        probe_logits(model, make_probe(model))
    assert "float32" in caught.value.remedy


def test_tokens_that_both_bar_do_not_differ() -> None:
    barred = float("-inf")
    ours, theirs = torch.tensor([[1.0, barred, 2.0]]), torch.tensor([[1.5, barred, 0.0]])
    assert difference(ours, theirs).tolist() == [[0.5, 0.0, 2.0]]
    assert difference(ours, torch.tensor([[1.0, 0.0, 2.0]])).tolist() == [[0.0, -barred, 0.0]]


def test_the_bound_grows_with_the_rounding_and_leaves_nothing_behind(tiny: Model) -> None:
    probe = make_probe(tiny)
    said = probe_logits(tiny, probe)
    eps = [torch.finfo(dtype).eps for dtype in (torch.float32, torch.float16, torch.bfloat16)]
    bounds = [rounding_bound(tiny, probe, said, one) for one in eps]
    assert bounds[1] == rounding_bound(tiny, probe, said, eps[1])  # a seed is a seed
    assert bounds[1] != rounding_bound(tiny, probe, said, eps[1], seed=1)
    assert bounds[2] / bounds[1] == pytest.approx(2**3, rel=0.5)
    # In the model's own type the bound holds the model's own roundings as well.
    assert 2**10 < bounds[1] / bounds[0] < 2**14
    assert probe_logits(tiny, probe).equal(said)


def test_the_bound_knows_the_model(tmp_path: Path) -> None:
    """A deep model of wild weights passes on more of a rounding than one of ordinary weights."""
    options = [{"num_hidden_layers": 12}, {"initializer_range": 0.02}]
    relative = list[float]()
    for number, one in enumerate(options):
        model = load_model(build_llava(tmp_path / str(number), **one))
        probe = make_probe(model)
        said = probe_logits(model, probe)
        relative.append(rounding_bound(model, probe, said, 1e-3) / float(said.abs().mean()))
    assert relative[0] > 3 * relative[1]


def test_a_probe_is_words_and_a_picture() -> None:
    probe = Probe(((Turn("a"), Turn("b")),))
    assert str(probe) == "2 prompts, one with a picture"
