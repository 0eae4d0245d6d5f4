"""Several results in one file: a part for each, with sections, names and pictures of its own."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from shiftlens.core.errors import DataError
from shiftlens.reporting.documents import FILES, find_document, kind_of, page_of, read_whole
from shiftlens.reporting.pages import Page, asset, draw, write_page

_CALLED = {
    "run": "Run",
    "diff": "Diff",
    "search": "Search",
    "evaluation": "Evaluation",
    "discovery": "Directions",
    "trajectory": "Trajectory",
    "drift": "Watched training",
    "explanation": "Explanation",
    "choice": "Choice of k",
}
# Attributes of our templates that name another part of the page. Text of others cannot look like
# one: it has no quotation mark that is not escaped.
_NAMING = re.compile(
    r'(?<=\s)(id|for|data-list|aria-labelledby|aria-describedby|aria-controls)="([^"]+)"'
    r'|(?<=\s)(href)="#([^"]*)"|(?<=type="radio" )(name)="([^"]+)"'
)


@dataclass(frozen=True)
class Part:
    """One result within the page.

    Attributes:
        anchor: its id; also before every id within it.
        kind: what it is, as the styles of its kind are told apart.
        title: what it is and where it lies, for people.
        models: what it is about, the unsteered or base model first; empty where it does not say.
        body: its sections.
    """

    anchor: str
    kind: str
    title: str
    models: tuple[str, ...]
    body: Markup


def draw_files(places: Sequence[str | Path], path: str | Path, *, title: str = "") -> Path:
    """Draw several results, of one kind or of several, as one page that loads nothing.

    Args:
        places: what verbs left: directories, or files with numbers, in the order of the page.
        path: the HTML file; replaced in one step.
        title: of the page.

    Returns:
        the path of the page.

    Raises:
        DataError: nothing is there that a page can be drawn of, it is damaged, or the same result
            is named twice.
        StoreError: one cannot be read.
        MachineError: the disk is full.
    """
    files = [find_document(place) for place in places]
    documents = [read_whole(file) for file in files]
    _refuse_twins(places, files, documents)
    pages = [page_of(one, file.parent) for one, file in zip(documents, files, strict=True)]
    titles = _titles(documents, files)
    parts = [_part(number, *one) for number, one in enumerate(zip(pages, titles, strict=True))]
    return write_page(path, _whole(parts, pages, title))


def _refuse_twins(
    places: Sequence[str | Path], files: Sequence[Path], documents: Sequence[Mapping[str, Any]]
) -> None:
    seen: dict[str, int] = {}
    for number, (file, document) in enumerate(zip(files, documents, strict=True)):
        for mark in (str(file.resolve()), json.dumps(document, sort_keys=True)):
            first = seen.setdefault(mark, number)
            if first != number:
                raise DataError(
                    f"{places[number]} is the same result as {places[first]}",
                    allowed="every result once",
                )


def _titles(documents: Sequence[Mapping[str, Any]], files: Sequence[Path]) -> list[str]:
    """Kinds of results, with the folder's name; a file of a name of its own is named itself."""
    found: list[str] = []
    for document, file in zip(documents, files, strict=True):
        name = file.parent.resolve().name if file.name in FILES else file.name
        found.append(f"{_CALLED.get(kind_of(document), 'Result')}: {name}")
    return [
        f"{one} ({found[:place].count(one) + 1})" if found.count(one) > 1 else one
        for place, one in enumerate(found)
    ]


def _part(number: int, page: Page, title: str) -> Part:
    anchor, kind = f"part-{number + 1}", kind_of(page.document)
    text = page.render("part.html.j2", anchor="", title=title)
    return Part(anchor, kind, title, models_of(page.document), Markup(_renamed(text, anchor)))


def _renamed(text: str, prefix: str) -> str:
    """The same text with ids that no other part has."""

    def new(found: re.Match[str]) -> str:
        name, ids, link, at, radio, group = found.groups()
        if link:
            return f'href="#{prefix}-{at}"'
        if radio:
            return f'name="{prefix}-{group}"'
        return f'{name}="{" ".join(f"{prefix}-{one}" for one in ids.split())}"'

    return _NAMING.sub(new, text)


def _whole(parts: Sequence[Part], pages: Sequence[Page], title: str) -> Page:
    scripts = list(dict.fromkeys(name for page in pages for name in page.scripts))
    document = {
        "schema": 1,
        "kind": "report",
        "results": [
            {"title": one.title, "document": page.document}
            for one, page in zip(parts, pages, strict=True)
        ],
    }
    return draw(
        "combined.html.j2",
        document,
        styles=("combined.css",),
        scripts=scripts,
        findings=(),
        title=title or f"{len(parts)} results",
        parts=parts,
        part_styles=_styles(pages),
        models=_models(parts),
    )


def _styles(pages: Sequence[Page]) -> Markup:
    """The styles of each kind, which hold within its parts alone and weigh what they weighed."""
    kinds = {kind_of(page.document): page.styles for page in pages}
    return Markup(
        "\n".join(
            f":where(.of-{kind}) {{\n{''.join(map(asset, styles))}\n}}"
            for kind, styles in kinds.items()
        )
    )


def _models(parts: Sequence[Part]) -> tuple[tuple[str, str], ...]:
    """Where parts are about different models: each model, and the parts that are about it."""
    about: dict[str, list[str]] = {}
    for one in parts:
        if one.models:
            about.setdefault(one.models[0], []).append(one.title)
    return tuple((name, ", ".join(of)) for name, of in about.items()) if len(about) > 1 else ()


def models_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The models that a document is about, the base or unsteered one first; none if unsaid."""
    pair = document.get("models")
    if isinstance(pair, Mapping):
        return tuple(_name(pair[side]) for side in ("base", "tuned") if pair.get(side))
    about = document.get("about") or {}
    named = about.get("base") or about.get("model") or document.get("model")
    return (_name(named),) if named else ()


def _name(model: Any) -> str:
    return str(model.get("name", "") if isinstance(model, Mapping) else model)
