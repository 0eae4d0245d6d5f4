"""``shiftlens check``: whether a fine-tune kept still what must not move."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.terminal import console, table

if TYPE_CHECKING:
    from shiftlens.study.check.judging import Checked, Judged


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("check")(check)


def check(
    run: Annotated[Path, typer.Argument(help="The directory of a diff.")],
    policy: Annotated[
        Path, typer.Option("--policy", "-p", help="The policy file (TOML): what must not move.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the verdicts as JSON instead of a table.")
    ] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write the verdicts as JUnit XML too.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> int:
    """Hold a diff against a policy: a non-inferiority test for CI. No model is loaded.

    A rule passes only where its whole 95 % interval lies inside its margin, fails where it lies
    outside, and is undecided otherwise. Exit code: 1 if a rule fails, otherwise 4 if one is
    undecided, otherwise 0; 2 for a policy or a run that cannot be used.

    Example: shiftlens check runs/places --policy policy.toml
    """
    from shiftlens.study.check.judging import check as judge
    from shiftlens.study.check.policy import load_policy
    from shiftlens.study.check.rows import read_run

    checked = judge(read_run(run), load_policy(policy))
    if junit is not None:
        from shiftlens.study.check.junit import write_junit

        write_junit(checked, junit)
    if as_json:
        text = json.dumps(checked.to_dict(), indent=1, ensure_ascii=False)
        console().print(text, markup=False, soft_wrap=True)
    elif not quiet:
        _print(checked)
    return checked.exit_code


_COLOURS = {"pass": "green", "fail": "bold red", "undecided": "yellow"}


def _print(checked: "Checked") -> None:
    from rich.markup import escape

    out = console()
    _print_head(checked)
    lines = [
        (
            escape(one.rule.name),
            _interval(one),
            _margin(one),
            f"[{_COLOURS[one.verdict]}]{one.verdict}[/]",
            "" if one.needs is None else f"~{one.needs:,}".replace(",", " "),
        )
        for one in checked.rules
    ]
    columns = ("rule", "estimate \\[interval]", "margin", "verdict", "needs")
    out.print(table("", columns, lines))
    for one in checked.rules:
        if one.note:
            out.print(f"{one.rule.name}: {one.note}", markup=False)
    out.print()
    out.print(_sentence(checked), markup=False)


def _print_head(checked: "Checked") -> None:
    run, precision = checked.run, checked.policy.precision
    out = console()
    lines: dict[str, str] = {
        "base": _name(run.models["base"]),
        "tuned": _name(run.models["tuned"]),
        "data": f"{len(run.rows)} samples, {run.pictures} pictures, {run.data[:12]}",
        "policy": f"{checked.policy.head.title or checked.policy.name}: "
        f"{_rules(len(checked.rules))} at {100 * precision.level:.4g} %",
    }
    for key, value in lines.items():
        out.print(f"{key:<7} {value}", markup=False, soft_wrap=True)
    if run.document is None:
        out.print("the diff did not finish: there are answers, but no concepts", markup=False)
    out.print()


def _rules(n: int) -> str:
    return "1 rule" if n == 1 else f"{n} rules, each"


def _name(model: Any) -> str:
    """What a person knows a model by."""
    return str(model.get("adapter") or model.get("name") or model.get("model"))


def _digits(one: "Judged") -> int:
    """As many as the margin needs, and one more."""
    return max(2, 1 - math.floor(math.log10(one.rule.margin)))


def _interval(one: "Judged") -> str:
    from shiftlens.reporting.numbers import decimal

    estimate, low, high = (decimal(v, _digits(one)) for v in (one.estimate, one.low, one.high))
    return f"{estimate} \\[{low}, {high}]"


def _margin(one: "Judged") -> str:
    text = f"{one.rule.margin:g}"
    if math.isinf(one.bounds.low):
        return f"< {text}"
    return f"> −{text}" if math.isinf(one.bounds.high) else f"± {text}"


def _sentence(checked: "Checked") -> str:
    """What it comes to, and what to do next."""
    total = len(checked.rules)
    failed, open_ = ([one.rule.name for one in checked.of(v)] for v in ("fail", "undecided"))
    if failed:
        more = f"; {len(open_)} undecided" if open_ else ""
        which = f"{len(failed)} of {total} rules" if total > 1 else "the rule"
        return f"{which} failed: {', '.join(failed)}{more}"
    if open_:
        needs = [one.needs for one in checked.of("undecided") if one.needs is not None]
        ask = f"the most demanding needs about {max(needs):,} pictures".replace(",", " ")
        tail = f": {ask}" if needs else ""
        which = f"{len(open_)} of {total} rules" if total > 1 else "the rule"
        return f"{which} cannot be decided by these data{tail}"
    return f"all {total} rules pass" if total > 1 else "the rule passes"
