"""Scores of the public CIDEr-D scorer (pycocoevalcap 1.2) on a small invented corpus."""

import json
import random
from pathlib import Path

from pycocoevalcap.cider.cider import Cider

SUBJECTS = ["a dog", "two dogs", "a man", "the old man", "a bird", "a woman in red", "children"]
VERBS = ["runs", "is running", "stands", "sits quietly", "jumps", "looks up"]
PLACES = ["on the beach", "in the snow", "near a house", "under a tree", "", "on a busy street"]


def sentence(draw: random.Random) -> str:
    """One caption, already in lower case and without marks."""
    parts = [draw.choice(words) for words in (SUBJECTS, VERBS, PLACES)]
    return " ".join(part for part in parts if part)


def corpus() -> list[dict[str, object]]:
    """Pictures with one to five references and a caption; the first captions are odd on purpose."""
    draw = random.Random(0)
    references = [[sentence(draw) for _ in range(1 + index % 5)] for index in range(40)]
    captions = [sentence(draw) for _ in references]
    captions[0] = references[0][0]  # perfect
    captions[1] = ""  # says nothing
    captions[2] = "dog"  # shorter than an n-gram of two
    captions[3] = " ".join([references[3][0]] * 4)  # says it again and again
    captions[4] = "dog dog dog dog dog dog"
    captions[5] = "zebra crossing seen from above"  # words that no reference holds
    captions[6] = f"{references[6][0]} {references[7][0]} {references[8][0]}"  # far too long
    return [
        {"references": texts, "caption": text}
        for texts, text in zip(references, captions, strict=True)
    ]


if __name__ == "__main__":
    pictures = corpus()
    truth = {str(i): one["references"] for i, one in enumerate(pictures)}
    said = {str(i): [one["caption"]] for i, one in enumerate(pictures)}
    mean, each = Cider().compute_score(truth, said)
    golden = {
        "pictures": [one | {"score": float(s)} for one, s in zip(pictures, each, strict=True)],
        "corpus": float(mean),
    }
    Path(__file__).with_name("cider.json").write_text(json.dumps(golden, indent=1) + "\n")
