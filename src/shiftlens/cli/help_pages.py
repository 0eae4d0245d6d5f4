"""How ``--help`` looks: verbs by what they are for, flowing text, an example that can be pasted."""

import copy
import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_WIDTH = 78
_LINE = 64  # letters beside a verb's name
_ROOT = "shiftlens"
_PANELS = {
    "Begin": ("demo", "doctor", "suggest", "run"),
    "States and concepts": ("harvest", "import", "learn", "ground", "explain", "store"),
    "What fine-tuning did": ("diff", "compare", "placebo", "check", "trajectory"),
    "Steering": ("discover", "steer", "search", "evaluate", "export"),
    "Looking": ("report", "serve"),
}
_EXAMPLE = "Example: "


class Page(TyperCommand):
    """A verb whose help is laid out when it is asked for; its text stays as it was written."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        shown = copy.copy(self)
        shown.help = laid_out(self.help or "")
        shown.params = [_typed(one) for one in self.params]
        TyperCommand.format_help(shown, ctx, formatter)


class Menu(TyperGroup):
    """Several verbs, listed by what they are for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of verbs."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        shown = {name: one for name, one in found.items() if one is not None and not one.hidden}
        column = max(map(len, shown), default=0)
        for title, names in self._sections(list(shown)):
            with formatter.section(title):
                lines = [(name, shown[name].get_short_help_str(_WIDTH)) for name in names]
                formatter.write_dl([(name.ljust(column), told) for name, told in lines])

    def _sections(self, names: list[str]) -> Iterator[tuple[str, list[str]]]:
        """Titles with the verbs below them; empty sections are left out."""
        if self.name != _ROOT:
            yield "Commands", names
            return
        placed = [verb for verbs in _PANELS.values() for verb in verbs]
        for title, verbs in _PANELS.items():
            if any(verb in names for verb in verbs):
                yield title, [verb for verb in verbs if verb in names]
        others = [name for name in names if name not in placed]
        if others:
            yield "Others", others


def arrange(app: typer.Typer) -> None:
    """Give every verb its page, and a line in the list of verbs."""
    for one in _verbs(app):
        one.cls = Page
        one.short_help = in_a_line(one.callback.__doc__ or "")


def _verbs(app: typer.Typer) -> Iterator[Any]:
    yield from app.registered_commands
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _verbs(group.typer_instance)


def in_a_line(text: str) -> str:
    """The first sentence, as much of it as a line of the list of verbs holds."""
    sentence = " ".join(text.strip().split("\n\n")[0].split())
    clause = re.split(r"[:;.](?:\s|$)", sentence)[0]
    while len(clause) > _LINE and ", " in clause:
        clause = clause.rpartition(", ")[0]
    return clause


def laid_out(text: str) -> str:
    """The same text with its example as lines that can be pasted."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        _example(" ".join(one.split()).removeprefix(_EXAMPLE))
        if one.strip().startswith(_EXAMPLE)
        else one
        for one in paragraphs
    )


def _example(command: str) -> str:
    """A command in lines that end in a backslash, broken before options alone."""
    lines = [""]
    for part in re.split(r" (?=-)", command):
        longer = f"{lines[-1]} {part}".strip()
        if lines[-1] and len(longer) > _WIDTH - 6:
            lines.append(part)
        else:
            lines[-1] = longer
    # The first character keeps the framework from wrapping these lines anew.
    return "\b\nExample:\n  " + " \\\n    ".join(lines)


def _typed(param: Any) -> Any:
    """The same option; what takes no value shows no type, and one of a list that of each."""
    if getattr(param, "metavar", None) is not None or not hasattr(param, "is_flag"):
        return param
    shown = copy.copy(param)
    if param.is_flag:
        shown.metavar = ""
    elif param.multiple:
        kind = param.bare_type().removeprefix("list[").removesuffix("]")
        shown.metavar = f"<{kind.lower()}>"
    return shown
