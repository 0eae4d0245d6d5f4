"""What ``run`` says of several fine-tunes: the published figures of each, and of all together."""

from collections.abc import Mapping
from typing import Any

from shiftlens.cli.terminal import console, table
from shiftlens.reporting.numbers import decimal, signed

_TEXTS = {
    "own_text": ("each model's own text, as published", "recovery_own_text"),
    "base_text": ("the base's text for both: weights, not words", "recovery"),
}
_FIGURES = ("consistency", "magnitude")  # metrics.json has the inclusive consistency too
_RUNS = ("fine-tune, word", "T-Overlap", "rises", "gain", "held out: concept - global")
_POOLED = ("gain with", "n", "Pearson, pooled", "within runs", "ranks", "within")
_DASH = "-"


def print_study(metrics: Mapping[str, Any]) -> None:
    """Two tables for each text: every fine-tune and word, and correlations over concepts."""
    out, study = console(), metrics["study"]
    for text, (title, recovery) in _TEXTS.items():
        out.print()
        out.print(f"[bold]On {title}[/bold]")
        out.print(table("", _RUNS, _runs(metrics, text, recovery)))
        out.print(table("", _POOLED, _pooled(study["pooled"], text)))
    out.print(study["note"], markup=False)


def _runs(metrics: Mapping[str, Any], text: str, recovery: str) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for name, words in metrics["study"]["runs"].items():
        for word, texts in words.items():
            who, run = f"{name}, {word}", texts[text]
            if run is None:
                lines.append((who, "too few samples", *[_DASH] * 3))
                continue
            overlap = run["overlap"]
            judged = metrics["toi"][f"{word} ({name})"].get(recovery)
            lines.append(
                (
                    who,
                    f"{decimal(overlap['original'])} to {decimal(overlap['shifted'])}",
                    f"{overlap['rises']} of {run['k']}",
                    signed(run["cosine"]["relative_gain"]),
                    _estimate(judged and judged["concept_minus_global"]),
                )
            )
    return lines


def _pooled(pooled: Mapping[str, Any], text: str) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for word, texts in pooled.items():
        for key in _FIGURES:
            both = (texts[text][key]["pooled"], texts[text][key]["within"])
            n = _DASH if both[0] is None else str(both[0]["n"])
            pearson = (_DASH if one is None else _estimate(one["pearson"]) for one in both)
            ranks = (_DASH if one is None else signed(one["spearman"]["estimate"]) for one in both)
            lines.append((f"{word}: {key}", n, *pearson, *ranks))
    return lines


def _estimate(interval: Mapping[str, float] | None) -> str:
    if not interval:
        return _DASH
    low, high = decimal(interval["low"]), decimal(interval["high"])
    return f"{signed(interval['estimate'])} \\[{low}, {high}]"
