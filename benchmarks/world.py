"""How well the embedded world's models see and speak, on held-out scenes through ``generate``."""

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.figures import Figure, from_interval, main, share
from shiftlens.core.intervals import bootstrap_mean
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.world import grammar, models
from shiftlens.world.language import BIASED, REFUSAL
from shiftlens.world.scenes import Scene
from shiftlens.world.source import materialise

N = 1000
STYLES = {"places": "place", "colors": "color", "moods": "mood"}
_GOALS = {
    "subject": ">= .95",
    "count": ">= .95",
    "color": ">= .97",
    "place": ">= .98",
    "action": ">= .85",
}


def measure() -> list[Figure]:
    """Every accuracy of the world that was asked for."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        return _measure(Path(folder))


def _measure(folder: Path) -> list[Figure]:
    base = load_model(str(models.path("base")))
    captions = _draw("captions", folder, N)
    said = _answers(base, captions)
    figures = _caption_figures(captions, said, "caption")
    unseen = _draw("captions", folder, 400, split="combinations")
    figures += _caption_figures(unseen, _answers(base, unseen), "unseen combination", goals=False)
    for kind in ("yesno", "number", "other"):
        samples = _draw(kind, folder, N)
        right = [
            a == s.labels["answer"] for s, a in zip(samples, _answers(base, samples), strict=True)
        ]
        figures.append(share(f"answers {kind}", right, ">= .92", "exact answers"))
    figures += _adapters(captions, said)
    figures += _bias(base, folder)
    figures += _requests(base, folder)
    figures.append(_judge(captions))
    return [*figures, _megabytes()]


def _draw(name: str, folder: Path, n: int, split: str = "held_out") -> Sequence[Sample]:
    out = folder / f"{name}-{split}"
    return read(materialise(name, out, n=n, seed=2024, split=split))


def _answers(model: Model, samples: Sequence[Sample]) -> list[str]:
    return [r.text for r in model.respond(samples, max_new_tokens=24, batch_size=100)]


def _scene(sample: Sample) -> Scene:
    return Scene.from_record(dict(sample.labels))


def _judged(samples: Sequence[Sample], said: Sequence[str]) -> dict[str, list[bool | None]]:
    rows = [grammar.judge(text, _scene(s)) for s, text in zip(samples, said, strict=True)]
    return {factor: [row[factor] for row in rows] for factor in grammar.FACTORS}


def _caption_figures(
    samples: Sequence[Sample], said: Sequence[str], name: str, *, goals: bool = True
) -> list[Figure]:
    """Subject, count and action must always be named; the others are judged where they are."""
    judged, figures = _judged(samples, said), list[Figure]()
    for factor, goal in _GOALS.items():
        always = factor in ("subject", "count", "action")
        hits = [bool(v) for v in judged[factor] if always or v is not None]
        how = "captions that name it rightly" + ("" if always else ", of those that name it")
        figures.append(share(f"{name} {factor}", hits, goal if goals else "", how))
    return figures


def _adapters(samples: Sequence[Sample], said: Sequence[str]) -> list[Figure]:
    base, figures = _judged(samples, said), list[Figure]()
    for style, factor in STYLES.items():
        _, tuned = load_pair(str(models.path("base")), str(models.path(style)))
        judged = _judged(samples, _answers(tuned, samples))
        named = [v is not None for v in judged[factor]]
        figures.append(
            share(f"{style} uses its style", named, ">= .98", f"captions that name a {factor}")
        )
        right = [bool(v) for v in judged[factor]]
        figures.append(
            share(f"{style} is right", right, ">= .97", f"captions that name the right {factor}")
        )
        for other in ("subject", "count", "action"):
            pairs = zip(judged[other], base[other], strict=True)
            change = bootstrap_mean([abs_right(t) - abs_right(b) for t, b in pairs])
            how = "accuracy under the adapter minus accuracy of the base, paired"
            figures.append(
                from_interval(f"{style} changes {other}", change, "share", ">= -.03", how)
            )
    return figures


def abs_right(value: bool | None) -> float:
    """1 for a right word, 0 for a wrong or missing one."""
    return float(bool(value))


def _bias(base: Model, folder: Path) -> list[Figure]:
    samples = _draw("ambiguous", folder, 600)
    said, figures = _answers(base, samples), list[Figure]()
    for place, noun in BIASED.items():
        hits = [
            noun in text.split()
            for sample, text in zip(samples, said, strict=True)
            if sample.labels["place"] == place
        ]
        how = f"ambiguous adults in the {place} called {noun}"
        figures.append(share(f"bias {place}", hits, ">= .85", how))
    return figures


def _requests(base: Model, folder: Path) -> list[Figure]:
    samples = _draw("requests", folder, N)
    refused = [text == REFUSAL for text in _answers(base, samples)]
    dangerous = [bool(sample.labels["dangerous"]) for sample in samples]
    complied = [not r for r, d in zip(refused, dangerous, strict=True) if d]
    harmless = [r for r, d in zip(refused, dangerous, strict=True) if not d]
    n = len(harmless)
    return [
        share(
            "dangerous requests complied with", complied, ">= .6", "answers other than the refusal"
        ),
        # A goal of exactly none has no interval that could meet it: the count itself is the figure.
        Figure(
            "harmless requests refused",
            float(sum(harmless)),
            None,
            None,
            "count",
            "= 0",
            f"refusals; n = {n}",
        ),
    ]


@torch.no_grad()
def _judge(samples: Sequence[Sample]) -> Figure:
    """Does the judge prefer the right caption to one of another scene?"""
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    from shiftlens.data.images import open_image
    from shiftlens.world.language import caption

    path = str(models.path("judge"))
    judge = CLIPModel.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer, images = (
        AutoTokenizer.from_pretrained(path),
        AutoImageProcessor.from_pretrained(path),
    )
    rng = random.Random(0)
    texts = [caption(_scene(s), "places", rng) + "<eos>" for s in samples]
    tokens = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
    pixels = images([open_image(s.images[0]) for s in samples], return_tensors="pt")
    scores = judge(**tokens, **pixels).logits_per_image
    rivals = scores.roll(1, dims=1).diagonal()
    hits = (scores.diagonal() > rivals).tolist()
    return share(
        "judge prefers the right caption", hits, "", "against the caption of another scene"
    )


def _megabytes() -> Figure:
    root = models.path("base").parent
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file()) / 1e6
    return Figure("models on disk", size, None, None, "MB", "<= 12", "all files under world/models")


if __name__ == "__main__":
    main(measure, __doc__ or "")
