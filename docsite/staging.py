"""What the generator is given: ``docs/``, the generated pages, and files that pages link to."""

import os
import posixpath
import re
import shutil
from pathlib import Path

from docsite import navigation, public_names, verbs

ROOT = Path(__file__).parents[1]
BESIDE = "repository"
"""Where files of the repository lie in the site that pages of ``docs/`` link to."""
_LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)((?:#[^)]*)?\))")


def stage(into: Path) -> None:
    """Lay out the sources of the site in an empty directory."""
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(navigation.DOCS, into)
    for page in sorted(into.rglob("*.md")):
        here = page.relative_to(into).as_posix()
        text = page.read_text(encoding="utf-8")
        page.write_text(_turned(text, here, into), encoding="utf-8")
    reference = into / "reference"
    reference.mkdir()
    (reference / "cli.md").write_text(verbs.text(), encoding="utf-8")
    for one in public_names.pages():
        (reference / f"{one.name}.md").write_text(public_names.text(one), encoding="utf-8")
    with (into / "index.md").open("a", encoding="utf-8") as index:
        index.write(_menu(into))


def outside(here: str, link: str) -> str | None:
    """The path in the repository of a link that leaves ``docs/``, or None of one that stays.

    Args:
        here: the page that has the link, as a path under ``docs/``.
        link: where it leads, as it is written.
    """
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(here), link))
    return None if path.startswith("docs/") else path


def _turned(text: str, here: str, into: Path) -> str:
    """A page whose links out of ``docs/`` lead to copies within the site, which are made."""

    def turn(found: re.Match[str]) -> str:
        target = outside(here, found.group(2))
        if target is None:
            return found.group(0)
        copy = into / BESIDE / target
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / target, copy)
        to = posixpath.relpath(f"{BESIDE}/{target}", posixpath.dirname(here) or ".")
        return f"{found.group(1)}{to}{found.group(3)}"

    return _LINK.sub(turn, text)


def _menu(into: Path) -> str:
    reference = ("reference/cli", *(f"reference/{one.name}" for one in public_names.pages()))
    parts: list[str] = []
    for section in navigation.sections(reference):
        lines = [f"{_short(into, name)} <{name}>" for name in section.pages]
        parts.append(_toctree(section.title, lines))
    beside = sorted(os.fspath(path) for path in (into / BESIDE).rglob("*.md"))
    lines = [Path(path).relative_to(into).with_suffix("").as_posix() for path in beside]
    if lines:
        parts.append(_toctree("Beside", lines))
    return "\n".join(["", *parts])


def _short(into: Path, name: str) -> str:
    return "Overview" if name.endswith("/index") else navigation.short_title(into / f"{name}.md")


def _toctree(caption: str, lines: list[str]) -> str:
    body = "\n".join(lines)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{body}\n```\n"
