"""The reference of the command line, from what each verb says of itself with ``--help``."""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from shiftlens.cli.main import app

_KINDS = {"str": "text", "int": "whole number", "float": "number", "Path": "path", "bool": ""}


def verbs() -> list[tuple[str, Any]]:
    """Every verb with its command, those of a group by both words, in the order of the alphabet."""
    found: list[tuple[str, Any]] = []
    for name, command in sorted(get_command(app).commands.items()):  # pyright: ignore[reportAttributeAccessIssue]
        below = getattr(command, "commands", None)
        if below is None:
            found.append((name, command))
        else:
            found.extend((f"{name} {inner}", one) for inner, one in sorted(below.items()))
    return found


def text() -> str:
    """The page in Markdown, one section a verb."""
    head = (
        "# The command line\n\n"
        "What `shiftlens VERB --help` says, for every verb. Exit codes: "
        "[errors](../errors.md#exit-codes).\n"
    )
    return "\n".join([head, *(_section(name, command) for name, command in verbs())])


def _section(name: str, command: Any) -> str:
    shown = [one for one in command.params if not getattr(one, "hidden", False)]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name == "option" and "--help" not in one.opts]
    usage = " ".join(["shiftlens", name, *(_placeholder(one) for one in arguments)])
    parts = [f"## {name}\n", f"```text\n{usage} [OPTIONS]\n```\n", *_prose(command.help or "")]
    parts.extend(_table(("argument", "what it is"), (_argument(one) for one in arguments)))
    parts.extend(_table(("option", "what it is", "default"), (_option(one) for one in options)))
    return "\n".join(parts)


def _placeholder(argument: Any) -> str:
    name = argument.name.upper()
    name = f"{name}..." if argument.nargs == -1 else name
    return name if argument.required else f"[{name}]"


def _prose(told: str) -> Iterator[str]:
    """The help's paragraphs; an example is set as what is typed."""
    for paragraph in told.split("\n\n"):
        sentence = " ".join(paragraph.split())
        if sentence.startswith("Example: "):
            yield f"```text\n{sentence.removeprefix('Example: ')}\n```\n"
        elif sentence:
            yield f"{sentence}\n"


def _argument(argument: Any) -> tuple[str, ...]:
    return f"`{_placeholder(argument)}`", _cell(argument.help)


def _option(option: Any) -> tuple[str, ...]:
    names = ", ".join(f"`{one}`" for one in (*option.opts, *option.secondary_opts))
    kind = _kind(option)
    needed = " **Required.**" if option.required else ""
    return f"{names}{f' {kind}' if kind else ''}", f"{_cell(option.help)}{needed}", _default(option)


def _kind(option: Any) -> str:
    annotation = option.type_descriptor.annotation
    if getattr(option, "is_flag", False):
        return ""
    return _KINDS.get(getattr(annotation, "__name__", ""), "")


def _default(option: Any) -> str:
    value = option.default
    if value is None or value is False or value in ("", [], ()) or callable(value):
        return ""
    return "on" if value is True else f"`{value}`"


def _cell(told: str | None) -> str:
    return " ".join((told or "").split()).replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if lines:
        yield f"| {' | '.join(head)} |"
        yield f"|{' --- |' * len(head)}"
        yield "\n".join(lines) + "\n"
