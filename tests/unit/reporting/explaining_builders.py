"""A document of an explanation, as ``Explanation.to_dict`` gives it, with its pictures on disk."""

from pathlib import Path
from typing import Any

from PIL import Image


def activity(concept: int, **fields: Any) -> dict[str, Any]:
    """One concept at one word."""
    return {
        "concept": concept,
        "distance": 45.7,
        "code": None,
        "margin": 0.55,
        "typical": 49.9,
        "above": 0.63,
        "active": True,
        **fields,
    }


def said(
    text: str, start: int, *concepts: dict[str, Any], where: str = "outside"
) -> dict[str, Any]:
    """One word of the answer."""
    note = "" if where == "at the site" else "outside the site: read with care"
    return {
        "text": text,
        "start": start,
        "end": start + len(text),
        "position": start,
        "where": where,
        "note": note,
        "concepts": list(concepts),
    }


def concept(index: int, *words: str, images: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A concept that is named at some word."""
    return {
        "index": index,
        "size": 38,
        "words": ["calm", *words],
        "contrastive": list(words),
        "neighbours": [],
        "images": images or [],
    }


def build_explanation(root: Path) -> dict[str, Any]:
    """“a dog runs”: concept 1 is active at “dog”, and concept 0 nowhere."""
    root.mkdir(parents=True, exist_ok=True)
    for name, colour in (("picture-0.png", "teal"), ("heat-0-concept-1.png", "orange")):
        Image.new("RGB", (96, 64), colour).save(root / name)
    far = {"above": 0.0, "active": False, "distance": 140.0, "margin": 0.03}
    return {
        "kind": "explanation",
        "schema": 1,
        "model": "world:base",
        "prompt": "Describe the picture.",
        "response": "a dog runs",
        "truncated": False,
        "site": {
            "layer": 4,
            "tokens": {"kind": "word", "words": ["dog"], "alignment": "predict"},
        },
        "learner": "kmeans",
        "k": 8,
        "calibration": {"rows": 219, "held_out": False},
        "words": [
            said("a", 0, activity(0, **far)),
            said("dog", 2, activity(1), activity(0, **far), where="at the site"),
            said("runs", 6),
        ],
        "concepts": [
            concept(0, "cat", "chair"),
            concept(1, "dog", "puppy", images=[{"id": "s1", "path": str(root / "picture-0.png")}]),
        ],
        "heat_maps": [
            {
                "concept": 1,
                "picture": 0,
                "method": "projection",
                "file": "heat-0-concept-1.png",
                "low": -0.5,
                "high": 1.25,
                "patches": [[0.0, 1.0], [0.5, 0.2]],
            }
        ],
        "occlusions": [
            {
                "sample_id": "picture",
                "concept": 1,
                "picture": 0,
                "method": "projection",
                "activation": 75.5,
                "patches": [[0, 1]],
                "top": 18.0,
                "random": [0.5, 12.4],
                "bottom": -1.0,
            }
        ],
        "pictures": ["picture-0.png"],
        "notes": [],
    }
