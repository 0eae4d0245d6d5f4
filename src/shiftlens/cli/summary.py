"""What ``run`` and ``demo`` say in the end: what fine-tuning and steering did, where to look."""

from collections.abc import Mapping
from typing import Any

from shiftlens.cli.steering_summary import print_steering
from shiftlens.cli.study_summary import print_study
from shiftlens.cli.terminal import console, table
from shiftlens.reporting.numbers import decimal, signed
from shiftlens.study.running import Outcome

_SHOWN = 3


def print_summary(outcome: Outcome, *, tables: bool = False) -> None:
    """Print the findings of a run in at most eighty columns.

    Args:
        outcome: of the run.
        tables: print also every arm of every steering.
    """
    out, metrics = console(), outcome.metrics
    out.print(f"[bold]{_safe(metrics['title'])}[/bold]")
    if metrics.get("study"):
        print_study(metrics)
    for name, toi in {} if metrics.get("study") else metrics["toi"].items():
        out.print()
        _print_toi(name, toi)
    if metrics["steering"]:
        out.print()
        print_steering(metrics["steering"], tables=tables)
    out.print()
    again = " (resumed: finished stages were reused)" if outcome.reused else ""
    out.print(f"done in {outcome.seconds:.0f} s{again}")
    out.print(f"  report   {outcome.report}", markup=False, soft_wrap=True)
    out.print(
        f"  numbers  {outcome.report.with_name('metrics.json')}", markup=False, soft_wrap=True
    )
    out.print(f"  try it   shiftlens serve {outcome.report.parent}", markup=False, soft_wrap=True)


def _print_toi(name: str, toi: Mapping[str, Any]) -> None:
    out, rows, recovery = console(), toi["rows"], toi["recovery"]
    out.print(
        f"[bold]“{_safe(name)}”[/bold] at block {toi['layer']}: {rows['matched']} states of "
        f"{toi['samples']} pictures ({rows['missed']} do not say it, {rows['failed']} failed), "
        f"{toi['concepts']['k']} concepts"
    )
    changes = sorted(toi["changes"], key=lambda change: change["overlap"])[:_SHOWN]
    lines = [
        (
            ", ".join(change["contrastive_base"][:3]),
            ", ".join(change["came"][:3]) or "-",
            decimal(change["overlap"]),
            signed(change["consistency"]),
        )
        for change in changes
    ]
    columns = ("most changed concepts", "words that came", "overlap", "consistency")
    out.print(table("", columns, lines))
    curves, at = recovery["centred_cosine"], recovery["strength"].index(1.0)
    values = ", ".join(f"{key} {decimal(curve[at])}" for key, curve in curves.items())
    out.print(f"recovered by adding shifts (centred cosine): {values}")
    _print_ceiling(recovery)
    for control in ("global", "shuffled", "affine"):
        gap = recovery[f"concept_minus_{control}"]
        verdict = "above" if gap["low"] > 0 else "[bold]not[/bold] above"
        out.print(
            f"  concept shifts are {verdict} the {control} control: "
            f"{signed(gap['estimate'], 3)} {_interval(gap, 3)}"
        )


def _print_ceiling(recovery: Mapping[str, Any]) -> None:
    """How far from what can be had, and the best strength; stages of earlier versions lack them."""
    said: list[str] = []
    for key, name in (("share_of_ceiling", "ceiling"), ("share_of_oracle", "oracle")):
        share = recovery.get(key)
        if share:
            said.append(f"of the {name} {decimal(share['estimate'])} {_interval(share)}")
    if said:
        console().print(f"  share of what is above the global shift: {', '.join(said)}")
    best = recovery.get("best")
    if best:
        console().print(
            f"  best strength, cross-fitted: {decimal(best['strength'])}; gain over 1: "
            f"{signed(best['gain']['estimate'], 3)} {_interval(best['gain'], 3)}"
        )


def _interval(numbers: Mapping[str, Any], digits: int = 2) -> str:
    return f"\\[{decimal(numbers['low'], digits)}, {decimal(numbers['high'], digits)}]"


def _safe(text: str) -> str:
    """Text of a model or a user is never markup."""
    from rich.markup import escape

    return escape(text)
