"""The ``shiftlens`` command: verbs, and how errors reach a person.

Exit codes: 0 done; 1 a check found what its policy forbids; 4 a check could not decide; 2 the
user's to mend (one message, no traceback); 3 the machine's or ours, with where the trace was
written; 130 interrupted.
"""

import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

import typer
from typer.exceptions import Abort, TyperException

from shiftlens import __version__
from shiftlens.cli import (
    check,
    demo,
    diff,
    discover,
    doctor,
    evaluate,
    explain,
    export,
    ground,
    harvest,
    importing,
    learn,
    placebo,
    report,
    run,
    search,
    serve,
    steer,
    store,
    suggest,
    trajectory,
    world,
)
from shiftlens.cli.help_pages import Menu, arrange
from shiftlens.cli.terminal import console
from shiftlens.core.allocator import keep_freed_memory
from shiftlens.core.errors import ShiftLensError

_INTERRUPTED = 130
_NAME = "shiftlens"

app = typer.Typer(
    name=_NAME,
    cls=Menu,
    help="See which concepts a multimodal LLM holds, what fine-tuning did to them, and steer it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        console().print(__version__)
        raise typer.Exit


for verb in (
    *(check, demo, diff, discover, doctor, evaluate, explain, export),
    *(ground, harvest, importing, learn, placebo),
    *(report, run, search, serve, steer, store, suggest, trajectory, world),
):
    verb.register(app)
arrange(app)


def main() -> None:
    """Run the command line and leave with its exit code."""
    keep_freed_memory()
    code = _INTERRUPTED
    with suppress(KeyboardInterrupt):  # Ctrl-C once more, while the first is being told
        code = run_app(sys.argv[1:])
    if code == _INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # and once more: at once, without a word
    sys.exit(code)


def run_app(arguments: list[str]) -> int:
    """Run the command line on the given words; returns the exit code and never raises."""
    try:
        result = app(arguments, standalone_mode=False, prog_name=_NAME)
    except (Abort, KeyboardInterrupt):
        return _interrupted()
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help; it is private
            console().print(error.format_message(), markup=False, soft_wrap=True)
        else:
            told = error.format_message().rstrip(".")
            _say(f"usage: {told[:1].lower()}{told[1:]}\n  see: {_verb(arguments)} --help")
        return 2
    except ShiftLensError as error:
        _say(f"{type(error).__name__}: {error}")
        return error.exit_code
    except OSError as error:
        if error.filename is None:
            _say(_internal(error))
            return 3
        _say(f"{error.filename} cannot be written or read ({error.strerror})")
        _say("  check the path and its rights, or choose another directory with --out")
        return 2
    except Exception as error:
        _say(_internal(error))
        return 3
    if result == _INTERRUPTED:  # some versions of the framework return it, others raise
        return _interrupted()
    return result if isinstance(result, int) else 0


def _verb(arguments: list[str]) -> str:
    """The verb that was meant, as far as it exists: ``shiftlens store info``."""
    named, here = [_NAME], typer.main.get_command(app)
    for word in arguments:
        here = getattr(here, "commands", {}).get(word)
        if here is None:
            break
        named.append(word)
    return " ".join(named)


def _interrupted() -> int:
    _say("interrupted: stages that were finished are kept; run the same command again to go on")
    return _INTERRUPTED


def _internal(error: Exception) -> str:
    """Write the traceback to a file and say where: it is ours to mend, not the user's to read."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="shiftlens-", suffix=".trace", delete=False, encoding="utf-8"
    ) as trace:
        trace.write("".join(traceback.format_exception(error)))
    return (
        f"{type(error).__name__}: {error}\n"
        f"  this is a fault of shiftlens or of the machine, not of your input\n"
        f"  the trace is in {Path(trace.name)}: please report it"
    )


def _say(text: str) -> None:
    console(stderr=True).print(text, markup=False, soft_wrap=True)
