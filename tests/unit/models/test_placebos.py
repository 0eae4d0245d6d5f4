"""Placebos: a fine-tune like another that teaches nothing, and a base that is given back."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.builders import build_adapter, build_llava, edit_json
from tests.unit.models.fresh import FIELDS, Photograph, load_fresh, same

from shiftlens.core.errors import DataError, MismatchError, ShiftLensError
from shiftlens.core.manifest import read_json
from shiftlens.data.sample import Sample, Samples
from shiftlens.models import training
from shiftlens.models.fresh_adapters import fresh_adapter, recipe_from
from shiftlens.models.generation import Sampled, forward
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.placebos import CARD, cost, lessons_from, train_placebos
from shiftlens.models.prompts import encode
from shiftlens.models.sampling import Drawn, draw_responses
from shiftlens.models.training import response_loss

_QUICK: dict[str, Any] = {
    "rate": 1e-2,
    "steps": 2,
    "n_responses": 3,
    "max_new_tokens": 24,
    "batch_size": 9,
}


@pytest.fixture
def samples(questions: list[Sample]) -> Samples:
    return Samples(questions)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def _one(base: Model, samples: Samples, out: Path, **options: Any) -> Path:
    """One quick placebo."""
    (made,) = train_placebos(
        base, samples, out, **{"like": FIELDS, "seeds": [0], **_QUICK, **options}
    )
    return made


# --- the result is a fine-tune like any other


def test_a_placebo_and_its_base_are_a_pair(family: Model, samples: Samples, tmp_path: Path) -> None:
    made = _one(family, samples, tmp_path)
    base, tuned = load_pair(family.name, made)
    inputs = encode(base, samples)
    assert not forward(base, inputs).logits.equal(forward(tuned, inputs).logits)


def test_the_recipe_is_that_of_another_adapter(
    tiny: Model, tiny_path: Path, samples: Samples, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"r": 3, "lora_alpha": 7, "lora_dropout": 0.25, "use_dora": True}
    like = build_adapter(
        tiny_path,
        tmp_path / "like",
        target_modules=["q_proj", "down_proj"],
        modules_to_save=["multi_modal_projector"],
        **options,
    )
    made = _one(tiny, samples, tmp_path, like=like)
    ours, theirs = (read_json(folder / "adapter_config.json") for folder in (made, like))
    for field, value in options.items():
        assert ours[field] == theirs[field] == value
    assert sorted(ours["target_modules"]) == sorted(theirs["target_modules"])
    assert ours["base_model_name_or_path"] == tiny.name
    assert {key: one.shape for key, one in _weights(made).items()} == {
        key: one.shape for key, one in _weights(like).items()
    }
    load_pair(tiny_path, made)


@pytest.mark.parametrize(
    "fields",
    [
        {"peft_type": "IA3", "target_modules": ["v_proj"], "feedforward_modules": []},
        {"peft_type": "LOHA", "r": 2, "alpha": 2, "target_modules": ["v_proj"]},
        {**FIELDS, "modules_to_save": ["lm_head"]},
    ],
    ids=["ia3", "loha", "whole-module"],
)
def test_other_kinds_of_adapters(
    tiny: Model, tiny_path: Path, samples: Samples, tmp_path: Path, fields: dict[str, Any]
) -> None:
    base, tuned = load_pair(tiny_path, _one(tiny, samples, tmp_path, like=fields))
    inputs = encode(base, samples)
    assert not forward(base, inputs).logits.equal(forward(tuned, inputs).logits)


def test_a_base_of_half_precision_keeps_a_float32_adapter(
    tiny_path: Path, samples: Samples, tmp_path: Path
) -> None:
    base = load_model(tiny_path, dtype="bfloat16")
    made = _one(base, samples, tmp_path, like={**FIELDS, "modules_to_save": ["lm_head"]})
    assert {tensor.dtype for tensor in _weights(made).values()} == {torch.float32}
    assert {tensor.dtype for tensor in base.hf.state_dict().values()} == {torch.bfloat16}
    load_pair(tiny_path, made, dtype="bfloat16")


def test_the_card_says_what_was_done(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    made = _one(tiny, samples, tmp_path, n_responses=2, max_new_tokens=12)
    card = read_json(made / CARD)
    assert made.name == "placebo-0"
    assert card["base"] == tiny.identity
    assert card["data"] == samples.fingerprint
    assert card["training"]["steps"] == 2
    assert card["adapter"]["r"] == 2
    drawn = draw_responses(tiny, samples, n=2, max_new_tokens=12).responses
    assert card["drawn"]["responses"] == len(drawn) == 2 * len(samples)
    assert 0 < card["drawn"]["truncated"] == sum(one.truncated for one in drawn) < len(drawn)
    assert card["first_loss"] > 0
    assert {"torch", "transformers", "peft", "shiftlens"} == card["versions"].keys()
    assert not (made / "README.md").exists()


# --- same seed, same bytes


def test_same_seed_same_bytes(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    like = {**FIELDS, "lora_dropout": 0.5}
    first = _one(tiny, samples, tmp_path / "a", like=like)
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(6)
    again = _one(tiny, samples, tmp_path / "b", like=like)
    for file in ("adapter_model.safetensors", CARD):
        assert (first / file).read_bytes() == (again / file).read_bytes()
    other = _one(tiny, samples, tmp_path / "a", like=like, seeds=[3])
    assert other.name == "placebo-3"
    assert not same(_weights(first), _weights(other))


def test_the_adapter_s_dropout_takes_part(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    plain = _one(tiny, samples, tmp_path / "a")
    dropping = _one(tiny, samples, tmp_path / "b", like={**FIELDS, "lora_dropout": 0.5})
    assert not same(_weights(plain), _weights(dropping))


def test_averaging_gives_other_weights(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    plain, averaged = (
        _one(tiny, samples, tmp_path / str(share), averaging=share) for share in (0.0, 0.9)
    )
    assert not same(_weights(plain), _weights(averaged))


# --- the base is given back bit for bit


@pytest.fixture
def fresh(tiny_path: Path) -> Model:
    return load_fresh(tiny_path)


def test_the_base_is_given_back(fresh: Model, samples: Samples, tmp_path: Path) -> None:
    before = Photograph(fresh)
    _one(fresh, samples, tmp_path, like={**FIELDS, "modules_to_save": ["lm_head"]})
    assert Photograph(fresh) == before


def test_twin_in_between_it_is_another_model(fresh: Model) -> None:
    before = Photograph(fresh)
    with fresh_adapter(fresh, recipe_from(FIELDS)):
        assert Photograph(fresh) != before
    assert Photograph(fresh) == before


class _Interrupting:
    """A listener that stops everything at the second step of a training."""

    def __init__(self) -> None:
        self.steps: int | None = None

    def start(self, label: str, total: int) -> None:
        self.steps = 0 if label.startswith("placebo") else None

    def advance(self, n: int = 1) -> None:
        if self.steps is not None:
            self.steps += n
            if self.steps == 2:
                raise KeyboardInterrupt

    def stop(self) -> None: ...


def test_the_base_is_given_back_after_an_interruption(
    fresh: Model, samples: Samples, tmp_path: Path
) -> None:
    before = Photograph(fresh)
    with pytest.raises(KeyboardInterrupt):
        _one(fresh, samples, tmp_path, progress=_Interrupting(), steps=5)
    assert Photograph(fresh) == before
    assert list(tmp_path.iterdir()) == []  # nothing half-made either


def test_the_base_is_given_back_when_the_recipe_does_not_fit(fresh: Model) -> None:
    before = Photograph(fresh)
    # The first of the two is filled before the second is refused.
    recipe = recipe_from({**FIELDS, "target_modules": ["q_proj", "act_fn"]})
    with pytest.raises(MismatchError, match="does not fit"), fresh_adapter(fresh, recipe):
        pass
    assert Photograph(fresh) == before


# --- resumed


class _Listening:
    """A listener that remembers what began."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    def start(self, label: str, total: int) -> None:
        self.labels.append(label)

    def advance(self, n: int = 1) -> None: ...

    def stop(self) -> None: ...


def test_finished_placebos_are_kept(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    kept = _one(tiny, samples, tmp_path, seeds=[1])
    times = {file.name: file.stat().st_mtime_ns for file in kept.iterdir()}
    listener = _Listening()
    options: dict[str, Any] = {"like": FIELDS, **_QUICK, "progress": listener}
    made = train_placebos(tiny, samples, tmp_path, seeds=(0, 1), **options)
    assert [path.name for path in made] == ["placebo-0", "placebo-1"]
    assert listener.labels == ["base: drawing responses", "placebo-0"]
    assert {file.name: file.stat().st_mtime_ns for file in kept.iterdir()} == times


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"rate": 2e-2}, "training"),
        ({"n_responses": 4}, "responses"),
        ({"like": {**FIELDS, "r": 4}}, "adapter"),
    ],
)
def test_another_placebo_is_not_taken_for_this_one(
    tiny: Model, samples: Samples, tmp_path: Path, options: dict[str, Any], field: str
) -> None:
    made = _one(tiny, samples, tmp_path)
    with pytest.raises(MismatchError, match=f"{made.name} holds something else: {field} differs"):
        _one(tiny, samples, tmp_path, **options)
    with pytest.raises(MismatchError, match="data differs"):
        _one(tiny, samples[:3], tmp_path)


def test_something_else_is_not_overwritten(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    (tmp_path / "placebo-0").mkdir()
    with pytest.raises(MismatchError, match="holds something else"):
        _one(tiny, samples, tmp_path)


# --- responses of use


def test_cut_responses_have_no_end_and_empty_ones_nothing_else(samples: Samples) -> None:
    said = (
        Sampled("a", (7, 8), False, end=2),
        Sampled("b", (7,), True),
        Sampled("", (), False, end=9),
    )
    lessons = lessons_from(Drawn(tuple(samples[:3]), said, {}), 8)
    assert [one.token_ids for one in lessons] == [(7, 8, 2), (7,), (9,)]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Sampled("a", (7,), True), "all 1 responses were cut off by the limit of 8 tokens"),
        (Sampled("", (), False, end=2), "all 1 responses are empty"),
    ],
)
def test_responses_that_are_of_no_use(samples: Samples, said: Sampled, words: str) -> None:
    with pytest.raises(DataError, match=words):
        lessons_from(Drawn(tuple(samples[:1]), (said,), {}), 8)


def test_pictures_that_cannot_be_read_are_counted(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    gone = Sample("gone", "what", (str(tmp_path / "gone.png"),))
    made = _one(tiny, Samples([*samples, gone]), tmp_path)
    drawn = read_json(made / CARD)["drawn"]
    assert drawn["responses"] == 3 * len(samples)
    assert drawn["unreadable"].keys() == {"gone"}
    assert "does not exist" in drawn["unreadable"]["gone"]
    with pytest.raises(DataError, match="none of 1 samples could be read; gone: "):
        _one(tiny, Samples([gone]), tmp_path / "none")


# --- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "cannot train with steps = 0"),
        ({"n_responses": 0}, "cannot draw 0 responses to each sample"),
        ({"temperature": 0.0}, "at temperature 0.0"),
        ({"seeds": []}, r"cannot train placebos of the seeds \(\)"),
        ({"seeds": [1, 1]}, r"of the seeds \(1, 1\)"),
        ({"seeds": [-1]}, r"of the seeds \(-1,\)"),
        ({"max_new_tokens": 1}, "all 18 responses were cut off by the limit of 1 tokens"),
        ({"like": {"peft_type": "LARO"}}, "unknown peft_type 'LARO'"),
        ({"like": {**FIELDS, "rank": 2}}, "PEFT knows no field 'rank' of LORA"),
        ({"like": {**FIELDS, "r": 0}}, "does not fit"),
        ({"like": {**FIELDS, "bias": "all"}}, "bias = 'all', which changes tensors of the base"),
        ({"like": {**FIELDS, "target_modules": ["no_such_module"]}}, "does not fit .*llava"),
        ({"like": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 2}}, "adds positions"),
    ],
)
def test_impossible_placebos(
    tiny: Model, samples: Samples, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ShiftLensError, match=words) as caught:
        _one(tiny, samples, tmp_path / "out", **options)
    assert caught.value.allowed
    assert not list(tmp_path.glob("out/*"))


def test_a_loss_that_is_not_finite(
    fresh: Model, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **options: Any) -> torch.Tensor:
        return response_loss(*args, **options) * float("nan")

    before = Photograph(fresh)
    monkeypatch.setattr(training, "response_loss", broken)
    with pytest.raises(DataError, match="the loss of placebo-0 is nan at step 1 of 2") as caught:
        _one(fresh, samples, tmp_path)
    assert "lower rate than 0.01" in caught.value.remedy
    assert Photograph(fresh) == before


def test_no_samples(tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no samples to draw responses to"):
        _one(tiny, Samples([]), tmp_path)


def test_a_model_is_not_an_adapter(
    tiny: Model, tiny_path: Path, samples: Samples, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="is not an adapter") as caught:
        _one(tiny, samples, tmp_path, like=tiny_path)
    assert "peft_type" in caught.value.remedy


def _other_base(path: Path, adapter: Path) -> None:
    build_adapter(build_llava(path, hidden_size=16), adapter)


def _no_json(path: Path, adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text("{")


def _alien_kind(path: Path, adapter: Path) -> None:
    edit_json(adapter / "adapter_config.json", peft_type="LARO")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_other_base, "does not fit .*: base_model.* is .* here and .* there"),
        (_no_json, r"adapter_config\.json of .* is not valid JSON"),
        (_alien_kind, "unknown peft_type 'LARO'"),
    ],
)
def test_adapters_that_are_no_recipe_for_this_model(
    tiny: Model,
    samples: Samples,
    tiny_adapter_path: Path,
    tmp_path: Path,
    damage: Callable[[Path, Path], None],
    words: str,
) -> None:
    like = Path(shutil.copytree(tiny_adapter_path, tmp_path / "like"))
    damage(tmp_path / "other", like)
    with pytest.raises(ShiftLensError, match=words):
        _one(tiny, samples, tmp_path / "out", like=like)


def test_fields_that_a_fresh_adapter_cannot_have_are_named(
    tiny: Model, samples: Samples, copied_adapter: Path, tmp_path: Path
) -> None:
    edit_json(copied_adapter / "adapter_config.json", init_lora_weights="pissa", from_tomorrow=3)
    made = _one(tiny, samples, tmp_path, like=copied_adapter)
    assert read_json(made / CARD)["replaced"] == {"init_lora_weights": "pissa", "from_tomorrow": 3}
    assert read_json(made / "adapter_config.json")["init_lora_weights"] is True


@pytest.fixture
def adapted(tiny_path: Path, tiny_adapter_path: Path) -> Model:
    return load_pair(tiny_path, tiny_adapter_path)[0]


def test_the_base_of_a_pair_is_refused(adapted: Model, samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="carries an adapter already") as caught:
        _one(adapted, samples, tmp_path)
    assert "load_model" in caught.value.remedy


# --- the cost, told beforehand


def test_the_cost_is_what_will_be_written(
    tiny: Model, samples: Samples, tiny_adapter_path: Path, tmp_path: Path
) -> None:
    amount: dict[str, Any] = {
        "like": tiny_adapter_path,
        "steps": 2,
        "batch_size": 4,
        "n_responses": 2,
        "seeds": (0, 1),
    }
    told = cost(len(samples), tmp_path, **amount)
    assert (told["missing"], told["samples"], told["responses"]) == (2, 6, 12)
    made = _one(tiny, samples, tmp_path, **{**amount, "seeds": [0]})
    size = sum(tensor.numel() * 4 for tensor in _weights(made).values())
    assert told["bytes"] == 2 * size
    assert cost(len(samples), tmp_path, **amount)["missing"] == 1
    assert cost(len(samples), tmp_path, **{**amount, "like": FIELDS})["bytes"] is None
