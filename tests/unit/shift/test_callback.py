"""The drift of concepts during a real training, which it leaves alone to the bit."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.builders import build_llava
from transformers import Trainer, TrainerCallback, TrainingArguments

from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.errors import DataError, LearnError, MismatchError, SiteError
from shiftlens.core.manifest import read_json
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.models.quiet import quiet_loading
from shiftlens.shift.callback import DriftCallback
from shiftlens.shift.probing import undisturbed

_SITE = Site(layer=2, tokens=tokens.mean_response())
_SAID = (20, 21, 22, 2)


@pytest.fixture(scope="module")
def dropping_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with dropout: every random number that somebody else takes changes its training."""
    return build_llava(tmp_path_factory.mktemp("dropping") / "llava", attention_dropout=0.2)


@pytest.fixture
def trained(dropping_path: Path) -> Model:
    return load_model(dropping_path)


@pytest.fixture
def probe(questions: list[Sample]) -> Samples:
    return Samples(questions)


def _train(
    model: Model,
    samples: list[Sample],
    out: Path,
    *callbacks: TrainerCallback | None,
    wrapped: Any = None,
    processing_class: Any = None,
    resume: str | None = None,
    **arguments: Any,
) -> dict[str, torch.Tensor]:
    """A training by transformers' own Trainer; the weights that come out."""

    def collate(batch: list[Sample]) -> dict[str, torch.Tensor]:
        inputs = encode(model, batch, response_ids=[_SAID] * len(batch))
        labels = torch.full_like(inputs.tensors["input_ids"], -100)
        labels[:, inputs.prompt_width :] = torch.tensor(_SAID)
        return {**inputs.tensors, "labels": labels}

    settings: dict[str, Any] = {
        "max_steps": 4,
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 2,
        "save_strategy": "no",
        **arguments,
    }
    trainer = Trainer(
        model=model.hf if wrapped is None else wrapped,
        args=TrainingArguments(
            output_dir=str(out),
            use_cpu=True,
            report_to=[],
            logging_strategy="no",
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            disable_tqdm=True,
            **settings,
        ),
        train_dataset=samples,  # pyright: ignore[reportArgumentType]
        data_collator=collate,
        processing_class=processing_class,
        callbacks=[one for one in callbacks if one is not None],
    )
    trainer.train(resume_from_checkpoint=resume)
    return {name: tensor.clone() for name, tensor in model.hf.state_dict().items()}


def _same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(ours[k].equal(theirs[k]) for k in ours)


def _adapted(model: Model) -> Any:
    """The model with a fresh LoRA, as PEFT wraps it; dropout included."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=["v_proj", "up_proj"], lora_dropout=0.3)
    torch.manual_seed(0)
    with quiet_loading():
        return get_peft_model(model.hf, config)


# --- theorem: a training that is looked at is the same training


class _Rolling(TrainerCallback):
    """Looks without care: takes one random number at every step."""

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        torch.rand(1)


@pytest.mark.parametrize("lora", [False, True], ids=["all-weights", "lora"])
def test_a_training_is_the_same_with_and_without(
    dropping_path: Path, questions: list[Sample], probe: Samples, tmp_path: Path, lora: bool
) -> None:
    def run(callback: TrainerCallback | None) -> dict[str, torch.Tensor]:
        model = load_model(dropping_path)
        wrapped = _adapted(model) if lora else None
        return _train(model, questions, tmp_path, callback, wrapped=wrapped)

    processor = load_model(dropping_path).processor
    callback = DriftCallback(probe, _SITE, KMeans(k=2), processor=processor, every=1)
    alone = run(None)
    assert _same(alone, run(callback))
    assert len(callback.history) == 5
    assert not _same(alone, run(_Rolling()))  # twin: the comparison notices


def _random_states() -> list[Any]:
    return [torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()]


def _interrupted(model: Model) -> None:
    with undisturbed(model.hf):
        assert not any(module.training for module in model.hf.modules())
        torch.rand(2)
        np.random.rand(2)
        random.random()
        raise KeyboardInterrupt


def test_random_states_and_modes_are_put_back(trained: Model) -> None:
    trained.hf.train()
    trained.address.block(trained.hf, 1).eval()
    modes, states = [module.training for module in trained.hf.modules()], _random_states()
    with pytest.raises(KeyboardInterrupt):
        _interrupted(trained)
    assert [module.training for module in trained.hf.modules()] == modes
    assert _random_states() == states


# --- what it sees


def _expected(base: torch.Tensor, tuned: torch.Tensor, labels: torch.Tensor, k: int) -> list[float]:
    """Drift of each concept by its definition, one pair of samples at a time."""
    delta = (tuned - base).double()
    residue = sum(
        float((base[labels == c].double() - base[labels == c].double().mean(0)).square().sum())
        for c in range(k)
    )
    used = len(labels.unique())
    scale = (residue / (len(base) - used)) ** 0.5
    found: list[float] = []
    for concept in (*range(k), None):
        rows = delta if concept is None else delta[labels == concept]
        pairs = [float(a @ b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        mean = sum(pairs) / len(pairs)
        found.append((1 if mean > 0 else -1) * abs(mean) ** 0.5 / scale)
    return found


def _states(model: Model, samples: list[Sample], said: list[tuple[int, ...]]) -> torch.Tensor:
    """Mean state, at the site, over the positions that emit each response; one sample at a time."""
    from shiftlens.models.generation import forward
    from shiftlens.models.hooks import record

    rows: list[torch.Tensor] = []
    for sample, ids in zip(samples, said, strict=True):
        inputs = encode(model, [sample], response_ids=[ids])
        with record(model, [2]) as seen:
            forward(model, inputs)
        start = inputs.prompt_width - 1
        rows.append(seen.states[2][0][0, start : start + len(ids)].mean(dim=0))
    return torch.stack(rows)


def test_drift_is_what_its_definition_says(
    dropping_path: Path, questions: list[Sample], probe: Samples, tmp_path: Path
) -> None:
    model, base = load_model(dropping_path), load_model(dropping_path)
    said = [one.token_ids for one in base.respond(questions, max_new_tokens=6)]
    before = _states(base, questions, said)
    vectors = torch.stack([before[:3].mean(0), before[3:].mean(0)])
    concepts = Concepts(vectors, "centroid", _SITE, (3, 3), contrastive=(("beach",), ("snow",)))
    labels = concepts.assign(before)
    assert torch.bincount(labels).min() >= 2
    callback = DriftCallback(probe, _SITE, concepts, base=base, every=3, max_new_tokens=6)
    _train(model, questions, tmp_path, callback)
    model.hf.eval()
    expected = _expected(before, _states(model, questions, said), labels, 2)
    assert [entry["step"] for entry in callback.history] == [0, 3, 4]
    first, *_, last = callback.history
    assert first == {"step": 0, "global": 0.0, "concepts": {"0-beach": 0.0, "1-snow": 0.0}}
    assert list(last["concepts"].values()) == pytest.approx(expected[:2], rel=1e-3)
    assert last["global"] == pytest.approx(expected[2], rel=1e-3)
    assert last["global"] > callback.history[1]["global"] > 0


def test_nothing_learned_is_nothing_drifted(
    trained: Model, questions: list[Sample], probe: Samples, tmp_path: Path
) -> None:
    callback = DriftCallback(probe, _SITE, KMeans(k=2), processor=trained.processor, every=2)
    _train(trained, questions, tmp_path, callback, learning_rate=0.0)
    assert all(entry["global"] == 0.0 for entry in callback.history)


def test_given_responses_are_given(trained: Model, questions: list[Sample], tmp_path: Path) -> None:
    texts = {one.id: "the dog is red" for one in questions}
    samples = Samples(questions).with_responses(texts)
    site = Site(layer=-1, tokens=tokens.word("dog"))
    callback = DriftCallback(
        samples, site, KMeans(k=2), processor=trained.processor, every=2, response="given"
    )
    _train(trained, questions, tmp_path, callback)
    assert callback.history[-1]["global"] > 0
    # Behind the last block words mean something, and the concepts are called by them.
    assert all(name[:2] in ("0-", "1-") and name[2:] for name in callback.history[0]["concepts"])


class _Writer:
    """The shape of TensorBoard's ``SummaryWriter``."""

    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars.append((tag, value, step))


def test_scalars_and_file_hold_the_history(
    trained: Model, questions: list[Sample], probe: Samples, tmp_path: Path
) -> None:
    writer = _Writer()
    callback = DriftCallback(
        probe, _SITE, KMeans(k=5), processor=trained.processor, every=2, out=tmp_path, writer=writer
    )
    _train(trained, questions, tmp_path, callback)
    steps = [entry["step"] for entry in callback.history]
    assert steps == [0, 2, 4]
    saved = read_json(tmp_path / "drift.json")
    assert saved["history"] == callback.history
    assert saved["samples"] == {"asked": 6, "followed": 6}
    assert sum(saved["concepts"].values()) == 6
    alone = [name for name, size in saved["concepts"].items() if size < 2]
    assert alone  # five concepts of six samples: some have one picture, which tells nothing
    for entry in callback.history:
        assert [name for name, value in entry["concepts"].items() if value is None] == alone
    told = {(tag, step): value for tag, value, step in writer.scalars}
    assert told["shiftlens/drift/global", 4] == callback.history[-1]["global"]
    assert len(told) == 3 * (1 + 5 - len(alone))


class _Removing(TrainerCallback):
    """Takes a picture of the probe away after the second step."""

    def __init__(self, picture: Path) -> None:
        self.picture = picture

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 2:
            self.picture.unlink()


def test_a_training_outlives_a_look_that_fails(
    trained: Model, questions: list[Sample], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture = Path(shutil.copy(questions[0].images[0], tmp_path / "copy.png"))
    asked = Samples([Sample("copied", "what is this ?", (str(picture),)), *questions])
    processor = trained.processor
    drift = DriftCallback(asked, _SITE, KMeans(k=2), processor=processor, every=1, out=tmp_path)
    _train(trained, questions, tmp_path, drift, _Removing(picture))
    assert [entry["step"] for entry in drift.history] == [0, 1, 2]
    assert read_json(tmp_path / "drift.json")["history"] == drift.history
    assert "no drift at step 3: image" in caplog.text
    with pytest.raises(DataError, match="does not exist"):
        _train(trained, questions, tmp_path, drift)  # at the beginning nothing is lost yet


# --- which model was before


def test_before_an_adapter_is_the_model_without_it(
    trained: Model, questions: list[Sample], probe: Samples, tmp_path: Path
) -> None:
    """Also where the adapter has learned something already."""
    wrapped = _adapted(trained)
    with torch.no_grad():
        for name, tensor in wrapped.named_parameters():
            if "lora_B" in name:
                tensor.fill_(0.1)
    flags = [tensor.requires_grad for tensor in wrapped.parameters()]
    processor = trained.processor
    for base in (None, trained):  # the same module: it is no base of its own
        options: dict[str, Any] = {"base": base} if base else {"processor": processor}
        callback = DriftCallback(probe, _SITE, KMeans(k=2), every=9, **options)
        _train(trained, questions, tmp_path, callback, wrapped=wrapped, learning_rate=0.0)
        assert callback.history[0]["global"] > 0.01
    assert [tensor.requires_grad for tensor in wrapped.parameters()] == flags


def test_a_training_of_adapters_goes_on_where_it_was(
    dropping_path: Path, questions: list[Sample], probe: Samples, tmp_path: Path
) -> None:
    def run(steps: int, resume: str | None = None) -> list[dict[str, Any]]:
        model = load_model(dropping_path)
        options: dict[str, Any] = {"processor": model.processor, "every": 1, "out": tmp_path}
        callback = DriftCallback(probe, _SITE, KMeans(k=2), **options)
        saved = {"save_strategy": "steps", "save_steps": 2, "max_steps": steps, "resume": resume}
        # A rate that does not fall, or the length of the training would decide its first steps.
        saved |= {"lr_scheduler_type": "constant", "wrapped": _adapted(model)}
        _train(model, questions, tmp_path / "run", callback, **saved)
        return callback.history

    whole = run(4)
    (tmp_path / "drift.json").unlink()
    run(3)
    again = run(4, str(tmp_path / "run" / "checkpoint-2"))
    assert [entry["step"] for entry in again] == [0, 1, 2, 3, 4]
    assert again == whole
    assert read_json(tmp_path / "drift.json")["history"] == again


def test_what_was_before_a_resumed_training_must_be_given(
    dropping_path: Path, questions: list[Sample], probe: Samples, tmp_path: Path
) -> None:
    base = load_model(dropping_path)
    _train(base, questions, tmp_path, save_strategy="steps", save_steps=2)
    resume, model = str(tmp_path / "checkpoint-2"), load_model(dropping_path)
    careless = DriftCallback(probe, _SITE, KMeans(k=2), processor=base.processor)
    with pytest.raises(DataError, match="goes on from step 2") as caught:
        _train(model, questions, tmp_path, careless, resume=resume)
    assert "base=load_model" in caught.value.remedy
    careful = DriftCallback(probe, _SITE, KMeans(k=2), base=load_model(dropping_path))
    _train(model, questions, tmp_path, careful, resume=resume)
    assert [entry["step"] for entry in careful.history] == [2, 4]


def test_the_processor_may_be_the_trainer_s(
    trained: Model, questions: list[Sample], probe: Samples, tmp_path: Path
) -> None:
    callback = DriftCallback(probe, _SITE, KMeans(k=2))
    _train(trained, questions, tmp_path, callback, processing_class=trained.processor)
    assert [entry["step"] for entry in callback.history] == [0, 4]


# --- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 0}, "every 0 steps"),
        ({"batch_size": 0}, "0 at once"),
        ({"writer": object()}, "object cannot be written to"),
    ],
)
def test_impossible_wishes(probe: Samples, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        DriftCallback(probe, _SITE, KMeans(k=2), **options)
    assert caught.value.allowed
    with pytest.raises(DataError, match="cannot follow 0 samples"):
        DriftCallback(Samples([]), _SITE, KMeans(k=2))


def _several(_: Model) -> dict[str, Any]:
    return {"site": Site(layer=(0, 1))}


def _absent(_: Model) -> dict[str, Any]:
    return {"site": Site(layer=9)}


def _unsaid(_: Model) -> dict[str, Any]:
    return {"site": Site(layer=0, tokens=tokens.word("zebra"))}


def _ungiven(_: Model) -> dict[str, Any]:
    return {"response": "given"}


def _too_many(_: Model) -> dict[str, Any]:
    return {"concepts": KMeans(k=7)}


def _other_width(_: Model) -> dict[str, Any]:
    return {"concepts": Concepts(torch.zeros(2, 5), "centroid", _SITE, (1, 1))}


def _unknown(_: Model) -> dict[str, Any]:
    return {"processor": None}


def _without_padding(model: Model) -> dict[str, Any]:
    model.processor.tokenizer.pad_token = None
    return {}


@pytest.mark.parametrize(
    ("wish", "kind", "words"),
    [
        (_several, SiteError, r"a probe at layers \(0, 1\)"),
        (_absent, SiteError, "layer 9 is outside"),
        (_unsaid, DataError, "0 of 6 samples of the probe hold what the site selects"),
        (_ungiven, DataError, "6 samples of the probe have no response to give"),
        (_too_many, LearnError, "cannot learn 7 concepts from 6 rows"),
        (_other_width, LearnError, "do not fit these concepts"),
        (_unknown, DataError, "the processor of the model in training is not known"),
        (_without_padding, DataError, "no padding token"),
    ],
)
def test_trainings_that_cannot_be_followed(
    trained: Model,
    questions: list[Sample],
    probe: Samples,
    tmp_path: Path,
    wish: Callable[[Model], dict[str, Any]],
    kind: type[Exception],
    words: str,
) -> None:
    options = {"site": _SITE, "concepts": KMeans(k=2), "processor": trained.processor}
    options |= wish(trained)
    trained.hf.train()
    with pytest.raises(kind, match=words):
        _train(trained, questions, tmp_path, DriftCallback(probe, **options))
    assert trained.hf.training  # given back, although nothing came of it


def test_another_model_is_not_the_base(
    trained: Model, questions: list[Sample], probe: Samples, tmp_path: Path
) -> None:
    other = load_model(build_llava(tmp_path / "other", hidden_size=16))
    callback = DriftCallback(probe, _SITE, KMeans(k=2), base=other)
    with pytest.raises(MismatchError, match=r"is not what .* was before its training"):
        _train(trained, questions, tmp_path, callback)
