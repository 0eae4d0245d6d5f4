"""Which answers changed, and how far the models part on the base's text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from shiftlens.activations.survey import Answers
from shiftlens.core.intervals import bootstrap_mean, wilson
from shiftlens.study.diff.ranking import Decode
from shiftlens.study.diff.visible import likeness

_EXAMPLES = 12


def describe_answers(
    rows: Sequence[Answers], judging: Sequence[Answers], decode: Decode
) -> dict[str, Any]:
    """Shares and examples, as JSON.

    Args:
        rows: all answers; shares are over all of them, because nothing was chosen by them.
        judging: the answers of the judging third, from which examples are shown.
        decode: from token ids to text, as the answers were decoded.
    """
    told = [row for row in rows if row.divergence and row.finite]
    means = [float(np.mean(row.divergence)) for row in told]
    first = [row.divergence[0] for row in told]
    alike = [likeness(row.tuned.text, row.base.text) for row in rows]
    return {
        "n": len(rows),
        "changed": wilson(sum(row.changed for row in rows), len(rows)).to_dict(),
        "likeness": bootstrap_mean(alike).to_dict(),
        "divergence": bootstrap_mean(means).to_dict() if means else None,
        "first_token": bootstrap_mean(first).to_dict() if first else None,
        "not_finite": sum(not row.finite for row in rows),
        "cut_off": {
            "base": sum(row.base.truncated for row in rows),
            "tuned": sum(row.tuned.truncated for row in rows),
        },
        "examples": [_example(row, decode) for row in _telling(judging)],
    }


def _telling(rows: Sequence[Answers]) -> list[Answers]:
    """Changed answers around the middle of the divergences: typical ones, not the wildest."""
    changed = sorted((row for row in rows if row.changed and row.finite), key=_mean)
    step = max(1, len(changed) // _EXAMPLES)
    return changed[step // 2 :: step][:_EXAMPLES]


def _mean(row: Answers) -> float:
    return float(np.mean(row.divergence)) if row.divergence else 0.0


def _example(row: Answers, decode: Decode) -> dict[str, Any]:
    return {
        "id": row.sample_id,
        "image": row.image or None,
        "prompt": row.prompt,
        "base": row.base.text.strip(),
        "tuned": row.tuned.text.strip(),
        "tokens": [decode([token]) for token in row.base.token_ids],
        "divergence": [round(value, 4) for value in row.divergence],
    }
