"""Placebo adapters: fine-tunes that teach nothing, the null of every verdict.

A placebo has the recipe of a real fine-tune and is trained on what the base itself says by chance.
In expectation the gradient of that loss is zero at the base: whatever a placebo changes, any
training of this kind changes.
"""

import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.core.manifest import disk_guard, read_json, sync_directory, sync_file, write_json
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.sample import Samples
from shiftlens.models.fresh_adapters import AdapterRecipe, fresh_adapter, recipe_from, trainable
from shiftlens.models.model import Model
from shiftlens.models.sampling import Drawn, draw_responses
from shiftlens.models.training import Lesson, Schedule, train

CARD = "placebo.json"
"""What stands beside each adapter: how it was made, and how the training went."""

_SCHEMA = 1
# What decides a placebo; the rest of its card is what came out.
_DECIDES = ("seed", "adapter", "training", "responses", "base", "data")
_ENDS_AVERAGED = 10


@dataclass(frozen=True)
class Responses:
    """How the responses are drawn.

    Attributes:
        each: responses to each sample.
        max_new_tokens: where one is cut off.
        temperature: 1 is the base itself; anything else teaches something.
    """

    each: int = 4
    max_new_tokens: int = 64
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.each < 1 or self.max_new_tokens < 1 or not 0 < self.temperature < float("inf"):
            raise DataError(
                f"cannot draw {self.each} responses to each sample, of {self.max_new_tokens} "
                f"tokens, at temperature {self.temperature}",
                allowed="1 or more, 1 or more, above 0",
            )


def train_placebos(
    base: Model,
    samples: Samples,
    out: str | Path,
    *,
    like: str | Path | Mapping[str, Any],
    rate: float,
    steps: int = 240,
    batch_size: int = 32,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    n_responses: int = 4,
    max_new_tokens: int = 64,
    temperature: float = 1.0,
    warmup: float = 1 / 12,
    weight_decay: float = 0.0,
    clip: float = 1.0,
    averaging: float = 0.0,
    progress: Progress | None = None,
) -> list[Path]:
    """Train adapters that teach nothing; finished ones of an earlier call are kept.

    Each seed draws responses of its own from the base, begins from weights of its own and sees its
    lessons in an order of its own. Responses that the token limit cut off are learned without an
    end: dropping them would teach short answers. An empty response is one token, the end.

    ``like`` says what kind of adapter, how large and where. It does not say steps, rate, batch size
    and amount of data: give those of the fine-tune that the placebos are held against, otherwise
    they are the null of another training. At least five seeds are wanted for a null.

    Args:
        base: a model without an adapter; it is given back bit for bit, also after an error.
        samples: what the base is asked; best others than those that verdicts are about.
        out: ``out/placebo-SEED`` are the adapters, in PEFT's format, with a ``placebo.json``.
        like: an adapter, named as in ``load_model``, or the fields of an ``adapter_config.json``.
        rate: highest learning rate.
        steps: of AdamW.
        batch_size: responses in a step.
        seeds: one placebo each.
        n_responses: drawn for each sample; a training that sees one response again and again learns
            it by heart.
        max_new_tokens: where a response is cut off.
        temperature: of the draws; 1 is the base itself.
        warmup: share of the steps in which the rate rises; it then falls as a cosine.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        averaging: share that a running average of the weights keeps at each step; 0 for none.
        progress: who is told how far it is.

    Returns:
        the adapters' directories, in the order of the seeds.

    Raises:
        DataError: no samples, impossible options, ``like`` is not an adapter, the base carries an
            adapter, no response is of use, or a loss is not finite.
        MismatchError: ``like`` does not fit the base, or ``out`` holds another placebo.
        MachineError: the disk is full; finished placebos are kept.
    """
    schedule = Schedule(steps, rate, batch_size, warmup, weight_decay, clip, averaging)
    responses = Responses(n_responses, max_new_tokens, temperature)
    _check(len(samples), seeds)
    recipe, root = recipe_from(like), Path(out)
    whole = _Whole(base, samples, recipe, schedule, responses, progress or Silent())
    done: list[Path] = []
    for seed in seeds:
        folder = root / f"placebo-{seed}"
        if not _finished(folder, whole.decides(seed)):
            _make(whole, seed, folder)
        done.append(folder)
    return done


def cost(
    n_samples: int,
    out: str | Path,
    *,
    like: str | Path | Mapping[str, Any],
    seeds: Sequence[int],
    steps: int,
    batch_size: int,
    n_responses: int,
) -> dict[str, Any]:
    """What ``train_placebos`` would do, without loading a model.

    Returns:
        ``placebos`` asked for and how many are ``missing``; for each of them ``samples``,
        ``responses`` drawn, and ``steps`` of ``batch_size``; ``bytes`` of all that are missing,
        ``None`` where ``like`` is not an adapter whose size is known.

    Raises:
        DataError: as in ``train_placebos``.
    """
    _check(n_samples, seeds)
    recipe, root = recipe_from(like), Path(out)
    missing = sum(not (root / f"placebo-{seed}").exists() for seed in seeds)
    size = 4 * sum(math.prod(shape) for shape in recipe.shapes.values())  # float32
    return {
        "placebos": len(seeds),
        "missing": missing,
        "samples": n_samples,
        "responses": n_samples * n_responses,
        "steps": steps,
        "batch_size": batch_size,
        "bytes": missing * size if size else None,
    }


@dataclass(frozen=True)
class _Whole:
    """What all placebos of a call have in common."""

    base: Model
    samples: Samples
    recipe: AdapterRecipe
    schedule: Schedule
    responses: Responses
    progress: Progress

    def decides(self, seed: int) -> dict[str, Any]:
        """What a placebo's weights follow from, as JSON."""
        return {
            "seed": seed,
            # Each version of PEFT adds fields that are off.
            "adapter": {key: value for key, value in self.recipe.fields.items() if value},
            "training": asdict(self.schedule),
            "responses": asdict(self.responses),
            "base": self.base.identity,
            "data": self.samples.fingerprint,
        }


def _check(n_samples: int, seeds: Sequence[int]) -> None:
    if n_samples < 1:
        raise DataError("no samples to draw responses to", remedy="check the filter, or the folder")
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise DataError(
            f"cannot train placebos of the seeds {tuple(seeds)}",
            allowed="one or more different whole numbers from 0 up",
        )


def _finished(folder: Path, decides: Mapping[str, Any]) -> bool:
    """Whether a placebo is there already.

    Raises:
        MismatchError: something else is.
    """
    if not folder.exists():
        return False
    card = read_json(folder / CARD) if (folder / CARD).is_file() else {}
    for field in _DECIDES:
        if card.get(field) != decides[field]:
            raise MismatchError(
                f"{folder} holds something else: {field} differs",
                allowed="the placebo that this call would make, or nothing",
                remedy="choose another directory, or remove that one",
            )
    return True


def _make(whole: _Whole, seed: int, folder: Path) -> None:
    """Draw, train, and write one placebo; torch's random state is left as it was."""
    base, progress = whole.base, whole.progress
    drawn = draw_responses(
        base,
        whole.samples,
        n=whole.responses.each,
        seed=seed,
        temperature=whole.responses.temperature,
        max_new_tokens=whole.responses.max_new_tokens,
        batch_size=whole.schedule.batch_size,
        progress=progress,
    )
    lessons = lessons_from(drawn, whole.responses.max_new_tokens)
    devices = [base.device] if base.device.type == "cuda" else []
    with torch.random.fork_rng(devices), base.active():
        torch.manual_seed(seed)
        with fresh_adapter(base, whole.recipe) as wrapped:
            progress.start(folder.name, whole.schedule.steps)
            try:
                losses = train(
                    base,
                    trainable(base.hf),
                    lessons,
                    whole.schedule,
                    seed=seed,
                    name=folder.name,
                    progress=progress,
                )
            finally:
                progress.stop()
            _write(wrapped, folder, _card(whole, seed, drawn, losses))


def lessons_from(drawn: Drawn, limit: int) -> list[Lesson]:
    """What was said as something to learn, with the end that was said; cut responses have none.

    Args:
        drawn: responses of the base.
        limit: of their tokens, for the message.

    Raises:
        DataError: nothing could be asked, everything was cut, or nothing was ever said.
    """
    if not drawn.samples:
        name, reason = next(iter(drawn.unreadable.items()))
        raise DataError(
            f"none of {len(drawn.unreadable)} samples could be read; {name}: {reason}",
            remedy="check the paths of the images",
        )
    if all(said.truncated for said in drawn.responses):
        raise DataError(
            f"all {len(drawn.responses)} responses were cut off by the limit of {limit} tokens",
            allowed="at least one that ends by itself: a fine-tune learns ends, too",
            remedy="allow more new tokens",
        )
    if not any(said.token_ids for said in drawn.responses):
        raise DataError(
            f"all {len(drawn.responses)} responses are empty",
            remedy="ask something else: the model ends at once",
        )
    return [
        Lesson(one, said.token_ids if said.end is None else (*said.token_ids, said.end))
        for one, said in zip(drawn.samples, drawn.responses, strict=True)
    ]


def _card(whole: _Whole, seed: int, drawn: Drawn, losses: Sequence[float]) -> dict[str, Any]:
    """Everything about a placebo; losses are means over the first and the last few steps."""
    some = min(_ENDS_AVERAGED, len(losses))
    return {
        "schema": _SCHEMA,
        **whole.decides(seed),
        "like": whole.recipe.name,
        "replaced": whole.recipe.replaced,
        "model": whole.base.name,
        "drawn": {
            "responses": len(drawn.responses),
            "truncated": sum(said.truncated for said in drawn.responses),
            "empty": sum(not said.token_ids for said in drawn.responses),
            "unreadable": drawn.unreadable,
        },
        "first_loss": sum(losses[:some]) / some,
        "last_loss": sum(losses[-some:]) / some,
        "versions": {
            name: version(name) for name in ("shiftlens", "torch", "transformers", "peft")
        },
    }


def _write(wrapped: Any, folder: Path, card: Mapping[str, Any]) -> None:
    """Write an adapter in one step: a directory that is there is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with disk_guard(folder):
            wrapped.save_pretrained(str(temporary), save_embedding_layers=False)
            # A template full of blanks: the card says it all.
            (temporary / "README.md").unlink(missing_ok=True)
            write_json(temporary / CARD, dict(card))
            for file in temporary.iterdir():
                sync_file(file)
            temporary.chmod(0o755)
            temporary.replace(folder)
            sync_directory(folder.parent)
    except BaseException:
        with suppress(OSError):
            shutil.rmtree(temporary)
        raise
