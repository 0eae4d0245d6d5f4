"""What ``DriftCallback`` costs: 64 samples every 100 steps of a LoRA training on the world."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import PrinterCallback, Trainer, TrainingArguments

from benchmarks.figures import Figure, from_interval, main
from shiftlens import DriftCallback, KMeans, Site, load_model, read, tokens
from shiftlens.core.intervals import bootstrap_mean
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.models.quiet import quiet_loading
from shiftlens.world.source import materialise

STEPS, EVERY, BATCH, PROBE, PICTURES = 60, 10, 32, 64, 192
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


class Timed(DriftCallback):
    """The callback with a watch: seconds at the start, and in each look after it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.beginning, self.looks = 0.0, list[float]()

    def on_train_begin(self, *args: Any, **options: Any) -> None:
        """Begin, timed."""
        start = time.perf_counter()
        super().on_train_begin(*args, **options)
        self.beginning += time.perf_counter() - start

    def on_step_end(self, *args: Any, **options: Any) -> None:
        """Look, timed."""
        start, seen = time.perf_counter(), len(self.history)
        super().on_step_end(*args, **options)
        if len(self.history) > seen:
            self.looks.append(time.perf_counter() - start)


def measure() -> list[Figure]:
    """Shares of one training's own time, so that a busy machine cancels out."""
    with tempfile.TemporaryDirectory() as folder:
        samples = read(materialise("captions", Path(folder) / "data", n=PICTURES + PROBE, seed=3))
        model = load_model("world:base")
        site = Site(layer=3, tokens=tokens.mean_response())
        options: dict[str, Any] = {"processor": model.processor, "every": EVERY}
        watch = Timed(samples[:PROBE], site, KMeans(k=8), **options)
        seconds = _train(model, list(samples[PROBE:]), watch, Path(folder))
    step = (seconds - watch.beginning - sum(watch.looks)) / STEPS
    how = f"LoRA of rank 8 on the world, {STEPS} steps of {BATCH}; probe of {PROBE}; one training"
    shares = bootstrap_mean([look / (100 * step) for look in watch.looks])
    return [
        from_interval("look every 100 steps", shares, "share", "<= .05",
                      f"seconds of a look over 100 steps' own, {len(watch.looks)} looks; {how}"),
        Figure("beginning, in steps", watch.beginning / step, None, None, "steps", "",
               f"asking the base, its states, concepts, first look; once a training; {how}"),
    ]  # fmt: skip


def _train(model: Model, lessons: Sequence[Sample], callback: Timed, folder: Path) -> float:
    """Train by transformers' own Trainer; returns the seconds that it took."""
    said = [one.token_ids for one in model.respond(lessons, max_new_tokens=24, batch_size=96)]
    end = int(model.tokenizer.eos_token_id)
    answers = {one.id: (*ids, end) for one, ids in zip(lessons, said, strict=True)}
    config = LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS)
    with quiet_loading():
        wrapped: Any = get_peft_model(model.hf, config)
        trainer = Trainer(
            model=wrapped,
            args=TrainingArguments(
                output_dir=str(folder),
                max_steps=STEPS,
                per_device_train_batch_size=BATCH,
                learning_rate=4e-3,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                remove_unused_columns=False,
                dataloader_pin_memory=False,
                disable_tqdm=True,
            ),
            train_dataset=list(lessons),  # pyright: ignore[reportArgumentType]
            data_collator=_collate(model, answers),
            callbacks=[callback],
        )
        trainer.remove_callback(PrinterCallback)  # what goes to the screen is ours alone
        start = time.perf_counter()
        trainer.train()
        return time.perf_counter() - start


def _collate(
    model: Model, answers: dict[str, tuple[int, ...]]
) -> Callable[[list[Sample]], dict[str, torch.Tensor]]:
    def collate(batch: list[Sample]) -> dict[str, torch.Tensor]:
        said = [answers[one.id] for one in batch]
        inputs = encode(model, batch, response_ids=said)
        labels = torch.full_like(inputs.tensors["input_ids"], -100)
        for row, ids in enumerate(said):
            labels[row, inputs.prompt_width :][: len(ids)] = torch.tensor(ids)
        return {**inputs.tensors, "labels": labels}

    return collate


if __name__ == "__main__":
    main(measure, __doc__ or "")
