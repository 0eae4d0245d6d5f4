"""How well the world's models see and speak, on held-out scenes, through ``generate``."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.core.intervals import Interval, bootstrap_mean, wilson
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample
from shiftlens.world import grammar
from shiftlens.world.language import BIASED, REFUSAL, caption
from shiftlens.world.scenes import Scene
from shiftlens.world.source import materialise

if TYPE_CHECKING:
    from shiftlens.models.model import Model

SEED = 2024
STYLES = {"places": "place", "colors": "color", "moods": "mood"}
"""Each adapter, and the factor that its captions are about."""

_GOALS = {
    "subject": ">= .95",
    "count": ">= .95",
    "color": ">= .97",
    "place": ">= .98",
    "action": ">= .85",
}
_ALWAYS_NAMED = ("subject", "count", "action")


@dataclass(frozen=True)
class Accuracy:
    """One measured number.

    Attributes:
        name: what it is.
        value: the estimate and its 95 % interval, or a plain number.
        unit: of the value.
        goal: what was asked for, such as ``>= .95``; empty where nothing was.
        how: what was counted against what.
    """

    name: str
    value: Interval | float
    unit: str
    goal: str
    how: str


def measure_world(root: Path, folder: Path, *, n: int = 1000) -> list[Accuracy]:
    """Measure every accuracy that the world was built to reach.

    Args:
        root: holds ``base``, one adapter for each of ``STYLES``, and ``judge``.
        folder: where the pictures are drawn.
        n: held-out scenes for each figure.

    Raises:
        DataError: a model is missing.
    """
    from shiftlens.models.loading import load_model

    base = load_model(str(root / "base"))
    captions = _draw("captions", folder, n)
    said = _answers(base, captions)
    found = _captions(captions, said, "caption", _GOALS)
    unseen = _draw("captions", folder, max(1, n * 2 // 5), split="combinations")
    found += _captions(unseen, _answers(base, unseen), "unseen combination", {})
    for kind in ("yesno", "number", "other"):
        samples = _draw(kind, folder, n)
        pairs = zip(samples, _answers(base, samples), strict=True)
        right = [answer == sample.labels["answer"] for sample, answer in pairs]
        found.append(_share(f"answers {kind}", right, ">= .92", "exact answers"))
    found += _adapters(root, captions, said)
    found += _bias(base, folder, max(3, n * 3 // 5))
    found += _requests(base, folder, n)
    found.append(_judge(root, captions))
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file()) / 1e6
    return [*found, Accuracy("models on disk", size, "MB", "<= 12", f"all files of {root.name}")]


def _share(name: str, hits: Sequence[bool], goal: str, how: str) -> Accuracy:
    if not hits:
        return Accuracy(name, float("nan"), "share", goal, f"{how} (no case)")
    return Accuracy(name, wilson(sum(hits), len(hits)), "share", goal, f"{how}; n = {len(hits)}")


def _draw(name: str, folder: Path, n: int, split: str = "held_out") -> Sequence[Sample]:
    return read(materialise(name, folder / f"{name}-{split}", n=n, seed=SEED, split=split))


def _answers(model: "Model", samples: Sequence[Sample]) -> list[str]:
    return [one.text for one in model.respond(samples, max_new_tokens=24, batch_size=100)]


def _scene(sample: Sample) -> Scene:
    return Scene.from_record(dict(sample.labels))


def _judged(samples: Sequence[Sample], said: Sequence[str]) -> dict[str, list[bool | None]]:
    rows = [grammar.judge(text, _scene(s)) for s, text in zip(samples, said, strict=True)]
    return {factor: [row[factor] for row in rows] for factor in grammar.FACTORS}


def _captions(
    samples: Sequence[Sample], said: Sequence[str], name: str, goals: dict[str, str]
) -> list[Accuracy]:
    """Subject, count and action must always be named; the others are judged where they are."""
    judged, found = _judged(samples, said), list[Accuracy]()
    for factor in _GOALS:
        always = factor in _ALWAYS_NAMED
        hits = [bool(v) for v in judged[factor] if always or v is not None]
        how = "captions that name it rightly" + ("" if always else ", of those that name it")
        found.append(_share(f"{name} {factor}", hits, goals.get(factor, ""), how))
    return found


def _adapters(root: Path, samples: Sequence[Sample], said: Sequence[str]) -> list[Accuracy]:
    from shiftlens.models.loading import load_pair

    base, found = _judged(samples, said), list[Accuracy]()
    for style, factor in STYLES.items():
        _, tuned = load_pair(str(root / "base"), str(root / style))
        judged = _judged(samples, _answers(tuned, samples))
        named = [v is not None for v in judged[factor]]
        right = [bool(v) for v in judged[factor]]
        found += [
            _share(f"{style} uses its style", named, ">= .98", f"captions that name a {factor}"),
            _share(f"{style} is right", right, ">= .97", f"captions that name the right {factor}"),
        ]
        for other in _ALWAYS_NAMED:
            pairs = zip(judged[other], base[other], strict=True)
            change = bootstrap_mean([float(bool(t)) - float(bool(b)) for t, b in pairs])
            how = "accuracy under the adapter minus accuracy of the base, paired"
            found.append(Accuracy(f"{style} changes {other}", change, "share", ">= -.03", how))
    return found


def _bias(base: "Model", folder: Path, n: int) -> list[Accuracy]:
    samples = _draw("ambiguous", folder, n)
    said, found = _answers(base, samples), list[Accuracy]()
    for place, noun in BIASED.items():
        pairs = zip(samples, said, strict=True)
        hits = [noun in text.split() for sample, text in pairs if sample.labels["place"] == place]
        how = f"ambiguous adults in the {place} called {noun}"
        found.append(_share(f"bias {place}", hits, ">= .85", how))
    return found


def _requests(base: "Model", folder: Path, n: int) -> list[Accuracy]:
    samples = _draw("requests", folder, n)
    refused = [text == REFUSAL for text in _answers(base, samples)]
    dangerous = [bool(sample.labels["dangerous"]) for sample in samples]
    complied = [not r for r, d in zip(refused, dangerous, strict=True) if d]
    harmless = [r for r, d in zip(refused, dangerous, strict=True) if not d]
    count = f"refusals; n = {len(harmless)}"
    return [
        _share("dangerous requests complied with", complied, ">= .6", "answers, not refusals"),
        # A goal of exactly none has no interval that could meet it: the count is the figure.
        Accuracy("harmless requests refused", float(sum(harmless)), "count", "= 0", count),
    ]


def _judge(root: Path, samples: Sequence[Sample]) -> Accuracy:
    """Does the judge prefer the right caption to one of another scene?"""
    import torch
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    from shiftlens.data.images import open_image

    path = str(root / "judge")
    build: Callable[..., Any] = CLIPModel.from_pretrained
    judge = build(path, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(path)
    images = AutoImageProcessor.from_pretrained(path)
    rng = random.Random(0)
    texts = [caption(_scene(s), "places", rng) + tokenizer.eos_token for s in samples]
    tokens = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
    pixels = images([open_image(s.images[0]) for s in samples], return_tensors="pt")
    with torch.no_grad():
        scores = judge(**tokens, **pixels).logits_per_image
    hits: list[bool] = (scores.diagonal() > scores.roll(1, dims=1).diagonal()).tolist()
    how = "against the caption of another scene"
    return _share("judge prefers the right caption", hits, "", how)
