"""Lists of words from the command line: languages, files of one word a line, words with commas."""

from pathlib import Path

import typer

from shiftlens.cli.steering_options import listed

ALL, NONE = "all", "none"


def stop_words_from(text: str) -> frozenset[str]:
    """Words of grammar that are never listed.

    Args:
        text: ``all`` languages of the table, ``none``, codes of languages ("en,de"), or a file.

    Raises:
        BadParameter: nothing of these.
    """
    from shiftlens.activations.words.stop_words import LANGUAGES, stop_words_of

    if text == NONE:
        return frozenset()
    if text == ALL:
        return stop_words_of()
    path = Path(text).expanduser()
    if path.is_file():
        return frozenset(one.lower() for one in _lines(path, "--stop-words"))
    codes = listed(text)
    if not codes or any(one not in LANGUAGES for one in codes):
        raise typer.BadParameter(
            f"{text!r} is no file and no language; there are {', '.join(LANGUAGES)}, {ALL}, {NONE}",
            param_hint="--stop-words",
        )
    return stop_words_of(*codes)


def words_from(text: str) -> frozenset[str] | None:
    """The only words that may be listed: a file of one a line, or words between commas.

    Args:
        text: the option; nothing allows every word.

    Raises:
        BadParameter: a list without a word.
    """
    if not text.strip():
        return None
    path = Path(text).expanduser()
    words = _lines(path, "--words") if path.is_file() else listed(text)
    if not words:
        raise typer.BadParameter(f"{text!r} names no word", param_hint="--words")
    return frozenset(one.lower() for one in words)


def _lines(path: Path, option: str) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(
            f"{path} is no text in UTF-8: one word a line", param_hint=option
        ) from error
    words = [one.strip() for one in text.splitlines() if one.strip()]
    if not words:
        raise typer.BadParameter(f"{path} holds no word: one a line", param_hint=option)
    return words
