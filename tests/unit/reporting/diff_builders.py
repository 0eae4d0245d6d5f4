"""A synthetic diff: a document with every key, and the small pictures that it names."""

import random
from pathlib import Path
from typing import Any

from tests.unit.reporting.builders import build_flow, build_pictures

MARGINS = {"moved": 0.5, "own": 0.3}

_BEFORE = ("standing", "beach", "wave", "board", "ocean", "street", "umbrella", "kitchen")
_AFTER = ("snow", "slope", "ski", "mountain", "winter", "standing", "beach", "road")


def interval(estimate: float, half: float = 0.05) -> dict[str, float]:
    return {"estimate": estimate, "low": estimate - half, "high": estimate + half}


def build_diff(root: Path, *, k: int = 12) -> dict[str, Any]:
    """A document of schema 1 with ``k`` concepts, the later ones the more moved."""
    paths = build_pictures(root)
    concepts = [build_concept(index, k, paths) for index in range(k)]
    return {
        "schema": 1,
        "kind": "diff",
        "title": "What changed from /models/base to /models/places",
        "models": {"base": {"name": "/models/base"}, "tuned": {"name": "/models/places"}},
        "pair": build_proof(),
        "versions": {"shiftlens": "0.1.0", "torch": "2.13.0"},
        "settings": {"seed": 0, "draws": 200},
        "data": {
            "samples": 602,
            "read": 600,
            "pictures": 590,
            "parts": {"selection": 200, "estimation": 199, "judging": 201},
            "quarantine": [{"id": "lost", "reason": f"image {root}/lost.png does not exist"}],
        },
        "answers": build_answers(paths),
        "ranking": [
            _candidate("end of the answer", False, 1.0, 2.5),
            _candidate("in", True, 0.3, 1.5),
            _candidate("first token", False, 1.0, 0.001),
        ],
        "site": {
            "layer": 5,
            "layers": [0, 2, 5],
            "tokens": {"kind": "end of response"},
            "rows": {"matched": 600, "missed": 0, "failed": 0},
            "rows_own_text": {"matched": 590, "missed": 8, "failed": 2},
        },
        "k": {"k": k, "stability": {"4": 0.9, str(k): 0.8}, "rule": "the largest that is stable"},
        "margins": {
            **MARGINS,
            "source": "placebos",
            "placebos": [{"moved": 0.31, "own": 0.2}, {"moved": 0.4, "own": 0.21}, MARGINS],
        },
        "summary": {name: _summary(concepts, name) for name in ("moved", "own")},
        "interval_width": 2.9,
        "concepts": concepts,
        "flow": build_flow(k),
        "born": [build_born(paths)],
        "weights_or_words": {"weights": 0.7, "text": 0.5, "cross": -0.2},
        "by_layer": [_layer(layer, k) for layer in (0, 2, 5)],
        "where": build_where(),
        "seconds": 166.1,
    }


def build_concept(index: int, k: int, paths: list[str]) -> dict[str, Any]:
    """One concept: the first ones stay, the middle is open, the last ones move."""
    rng = random.Random(index)
    before, after = rng.sample(_BEFORE, 6), rng.sample(_AFTER, 6)
    moved = _verdict("moved", 2.0 * index / k)
    tried = index >= k - 3
    return {
        "index": index,
        "partner": (index * 5 + 1) % k,
        "nearest": (index * 5 + 1) % k,
        "share": 1 / k,
        "words_base": ["man", *before],
        "words_tuned": ["man", *after],
        "contrastive_base": before,
        "contrastive_tuned": after,
        "came": [word for word in after if word not in before],
        "went": [word for word in before if word not in after],
        "words_shifted": ["man", *after[:4]],
        "overlap": rng.random(),
        "cosine": rng.uniform(0.6, 0.98),
        "magnitude": rng.uniform(4, 33),
        "consistency": rng.uniform(0, 0.9),
        "lost": rng.choice([0.0, 0.08]),
        "images_base": [{"id": f"b-{path}", "path": path} for path in rng.sample(paths, 5)],
        "images_tuned": [{"id": f"t-{path}", "path": path} for path in rng.sample(paths, 5)],
        "pictures": 30 + index,
        "stability": 0.9,
        "moved": moved,
        "own": _verdict("own", 1.0 * index / k),
        "kind": {
            "kind": "kept" if moved["verdict"] == "changed" else None,
            "agreement": 0.9,
            "kept_at_home": 0.7,
        },
        "same": {"across": 0.71, "within": 0.93, "drop": interval(0.22, 0.05)},
        "topic": {"rise": interval(1.0, 0.2), "refined": False} if index == k - 1 else None,
        "visible": build_visible(tried),
    }


def _verdict(name: str, estimate: float) -> dict[str, Any]:
    found = interval(estimate, 0.2)
    margin = MARGINS[name]
    said = "undecided"
    if found["low"] > margin:
        said = "changed"
    elif found["high"] < margin:
        said = "stable"
    return {
        **{"statistic": name, **found, "margin": margin, "verdict": said, "pictures": 41},
        "needs": 180 if said == "undecided" else None,
        "why": "the interval holds the margin" if said == "undecided" else "",
    }


def build_visible(tried: bool) -> dict[str, Any]:
    found = {
        "effect": "answers restored" if tried else "no visible effect",
        "n_steered": 33 if tried else 0,
        "inside": interval(0.6),
        "outside": interval(0.4),
        "difference": interval(0.02 if not tried else 0.2),
    }
    names = ("restored", "random", "restored_minus_random", "whole")
    values = (0.31, -0.01, 0.32, 0.4)
    return found | {
        name: interval(value) if tried else None for name, value in zip(names, values, strict=True)
    }


def _summary(concepts: list[dict[str, Any]], name: str) -> dict[str, int]:
    said = [one[name]["verdict"] for one in concepts]
    return {kind: said.count(kind) for kind in ("changed", "stable", "undecided")}


def build_born(paths: list[str]) -> dict[str, Any]:
    return {
        "index": 3,
        "words": ["man", "palm"],
        "contrastive": ["palm", "dunes"],
        "share": 0.11,
        "images": [{"id": f"born-{path}", "path": path} for path in paths[:5]],
        **{"kind": "born", "agreement": 0.87, "kept_at_home": 0.9},
    }


def build_answers(paths: list[str]) -> dict[str, Any]:
    text = "three people sitting"
    return {
        "n": 600,
        "changed": interval(0.5),
        "likeness": interval(0.7),
        "divergence": interval(1.25),
        "first_token": interval(0.002, 0.001),
        "cut_off": {"base": 0, "tuned": 3},
        "examples": [
            {
                "id": f"answer-{number}",
                "image": paths[number],
                "prompt": "Describe the picture.",
                "base": text,
                "tuned": f"{text} in the snow",
                "divergence": [0.1, 0.2, 0.1 * number, 4.0],
            }
            for number in range(8)
        ],
    }


def _candidate(name: str, is_word: bool, share: float, divergence: float) -> dict[str, Any]:
    return {
        **{"name": name, "is_word": is_word, "share": share, "divergence": divergence},
        "weight": share * divergence,
    }


def _layer(layer: int, k: int) -> dict[str, Any]:
    moved, own = interval(0.2 * layer), interval(0.1 * layer)
    return {"layer": layer, "moved": moved, "own": own, "concepts": [moved] * k}


def build_where() -> dict[str, Any]:
    def groups(names: tuple[str, ...]) -> list[dict[str, Any]]:
        return [
            {
                "group": name,
                "modules": 6,
                "remaining": interval(0.9 - 0.2 * i),
                "alone": interval(0.1 + 0.2 * i),
                "cosine": interval(0.9),
                "cosine_alone": interval(0.8),
            }
            for i, name in enumerate(names)
        ]

    return {
        "roles": [
            {"role": "image tokens", "n": 150, "moved": interval(0.2), "own": interval(0.1)},
            {
                **{"role": "prompt text", "n": 0, "moved": None, "own": None},
                "reason": "no sample has such tokens",
            },
        ],
        "modules": {
            "n": 60,
            "by_kind": groups(("q_proj", "down_proj")),
            "by_block": groups(("block 0", "block 1")),
            "sums": {"by_kind": {"removed": 0.5, "alone": 0.4}},
        },
    }


def build_proof() -> dict[str, Any]:
    return {
        **{"kind": "adapter", "adapter_tensors": 84, "target_modules": 42, "share_of_blocks": 1.0},
        **{"modules_to_save": [], "vision_modules": ["vision.0"], "embedding_modules": []},
        **{"allowed": {"dtype": "float32 and float16"}, "probe": "4 prompts, one with a picture"},
        **{"largest_logit_difference": 6.99, "mean_logit_difference": 2.174, "rounding": 0.0},
        **{"rounding_only": False, "base": "/models/base", "base_revision": None},
        **{"base_named": "world:base", "base_revision_named": None},
    }


def without_margin(document: dict[str, Any]) -> dict[str, Any]:
    """The same diff where nothing says what counts as nothing."""
    document["margins"] = {"moved": None, "own": None, "source": "none", "placebos": []}
    for one in document["concepts"]:
        for name in ("moved", "own"):
            why = "no margin says what counts as nothing"
            one[name] |= {"margin": None, "verdict": "undecided", "needs": None, "why": why}
        one["kind"]["kind"] = None
    for name in ("moved", "own"):
        document["summary"][name] = _summary(document["concepts"], name)
    return document
