"""What a public VQA evaluator (LAVIS 1.0.2) makes of small invented questions."""

import contextlib
import io
import json
import random
import sys
import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

POOL = [
    "yes", "Yes.", "no", " No!", "1", "one", "One,", "the dog", "dog", "a dog", "Dogs", "none", "0",
    "1,000", "1000", "3:35", "3.5", "3.5.", "t-shirt", "t shirt", "black/white", "black / white",
    "dont know", "don't know", "it's red", "its red", "(left)", "left", "on\tthe\ntable",
    "on table", "ten", "10", "hes here", "he's here", "what?", "\"stop\"", "stop", "couldnt've",
    "y'allll", "somebody'd", "Im", "a.m.", "$5", "5%", "1,000-2,000", "{x}", "x@y", "...", "the",
    "",
]  # fmt: skip
TYPES = ("yes/no", "number", "other")


class Answers:
    """What the evaluator asks of its reader of files: ids, and what belongs to each."""

    def __init__(self, rows: dict[int, Any]) -> None:
        self.qa = rows

    def getQuesIds(self) -> list[int]:
        """Ids of all questions."""
        return list(self.qa)


def questions() -> list[dict[str, Any]]:
    """Questions whose annotators agree to different degrees, and an answer to each."""
    draw = random.Random(0)
    rows: list[dict[str, Any]] = []
    for index in range(300):
        start = draw.randrange(len(POOL))
        pool = [POOL[(start + step) % len(POOL)] for step in range(draw.randint(1, 9))]
        answers = [draw.choice(pool) for _ in range(10)]
        near = [*pool, POOL[start - 1], POOL[start - 2]]
        kind = TYPES[index % 5 % 3]  # types of different sizes
        rows.append({"answer": draw.choice(near), "answers": answers, "type": kind})
    return rows


def evaluator(path: str) -> Any:
    """The class ``VQAEval`` of one file, without the package around it."""
    spec = spec_from_file_location("public", path)
    assert spec is not None
    assert spec.loader is not None
    warnings.simplefilter("ignore")  # its regular expressions are of an older Python
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.VQAEval


def evaluated(public: Any, rows: list[dict[str, Any]]) -> Any:
    """The evaluator after its work; it changes what it is given, and prints."""
    truth = {
        index: {
            "answers": [{"answer": a, "answer_id": i} for i, a in enumerate(row["answers"])],
            "question_type": "what",
            "answer_type": row["type"],
        }
        for index, row in enumerate(rows)
    }
    said = {index: {"answer": row["answer"]} for index, row in enumerate(rows)}
    evaluation = public(Answers(truth), Answers(said), n=10)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    return evaluation


if __name__ == "__main__":
    rows = questions()
    public = evaluator(sys.argv[1])
    evaluation = evaluated(public, rows)
    reader = public()
    golden = {
        "normalised": {
            text: reader.processDigitArticle(
                reader.processPunctuation(text.replace("\n", " ").replace("\t", " ").strip())
            )
            for text in POOL
        },
        "overall": evaluation.accuracy["overall"],
        "by_type": evaluation.accuracy["perAnswerType"],
        "questions": [row | {"percent": evaluation.evalQA[i]} for i, row in enumerate(rows)],
    }
    Path(__file__).with_name("vqa.json").write_text(json.dumps(golden, indent=0) + "\n")
