"""What every page shares: its templates, styles and script, and the document that it embeds.

A page loads nothing: styles, script and pictures are inside, and its content security policy
forbids everything else.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shiftlens.core.errors import DataError
from shiftlens.core.manifest import write_atomic
from shiftlens.reporting import numbers
from shiftlens.reporting.checking import require
from shiftlens.reporting.images import Symbol


def document_of(
    data: Mapping[str, Any],
    kind: str,
    parts: Mapping[str, type],
    *,
    schema: int = 1,
    page: str = "docs/formats/metrics.md",
) -> dict[str, Any]:
    """A document that a page can be drawn from, with ``None`` for numbers that JSON lacks.

    Args:
        data: what was given.
        kind: what it must say that it is.
        parts: what must be there, and of what kind each is.
        schema: the only one that can be drawn.
        page: the document's description.

    Raises:
        DataError: another kind or schema, or a part that is missing.
    """
    document = numbers.clean(data)
    if (document.get("kind"), document.get("schema")) != (kind, schema):
        found = f"a {document.get('kind')!r} of schema {document.get('schema')!r}"
        raise DataError(f"{found} is no {kind}", allowed=f"{kind!r} of schema {schema}")
    require(document, parts, f"the {kind}'s data", page=page)
    return document


@dataclass(frozen=True)
class Page:
    """Everything that a page needs, before it is drawn: by itself, or as a part of a larger one.

    Attributes:
        template: its file; it extends the template that it is given as ``layout``.
        document: embedded as it is, and called ``data`` in the template.
        styles: its style files beside ``style.css``, in order.
        scripts: its script files beside ``page.js``; they become one, which the policy names.
        symbols: pictures that the page holds once each.
        filters: of this page alone.
        views: everything else that the template names.
    """

    template: str
    document: Mapping[str, Any]
    styles: Sequence[str] = ()
    scripts: Sequence[str] = ()
    symbols: Sequence[Symbol] = ()
    filters: Mapping[str, Callable[..., Any]] = field(default_factory=dict[str, Any])
    views: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def text(self) -> str:
        """The whole text of the page."""
        script = "".join(map(asset, ("page.js", *self.scripts)))
        return self.render(
            "layout.html.j2",
            style=Markup("".join(map(asset, ("style.css", *self.styles)))),
            script=Markup(script),
            script_hash=_hash(script),
            document=embedded_json(self.document),
        )

    def render(self, layout: str, **around: Any) -> str:
        """The text of the page within a layout.

        Args:
            layout: the template that the page's own one extends.
            around: what the layout names beside the page's views.
        """
        return (
            _environment(tuple(self.filters.items()))
            .get_template(self.template)
            .render(layout=layout, data=self.document, symbols=self.symbols, **self.views, **around)
        )


def draw(
    template: str,
    document: Mapping[str, Any],
    *,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    symbols: Sequence[Symbol] = (),
    filters: Mapping[str, Callable[..., Any]] | None = None,
    **views: Any,
) -> Page:
    """A page from its parts; see ``Page``, whose ``views`` are given by their names."""
    return Page(template, document, styles, scripts, symbols, filters or {}, views)


def write_page(path: str | Path, page: Page | str) -> Path:
    """Write a page in one step.

    Raises:
        MachineError: the disk is full.
    """
    target, text = Path(path), page if isinstance(page, str) else page.text()
    # Model text may hold halves of characters, which no file can.
    write_atomic(target, text.encode("utf-8", errors="replace"))
    return target


def embedded_json(document: Any) -> Markup:
    """JSON that nothing inside it can end: no character that HTML gives a meaning is left."""
    text = json.dumps(document, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@cache
def _environment(filters: tuple[tuple[str, Callable[..., Any]], ...]) -> Environment:
    environment = Environment(
        loader=PackageLoader("shiftlens.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        decimal=numbers.decimal,
        signed=numbers.signed,
        percent=numbers.percent,
        count=numbers.count,
        duration=numbers.duration,
        bounds=numbers.bounds,
        percent_bounds=numbers.percent_bounds,
        short=numbers.short,
    )
    environment.filters.update(filters)
    environment.tests["known"] = numbers.is_number
    return environment


def asset(name: str) -> str:
    """The text of a style or script file."""
    return (files("shiftlens.reporting") / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """The script's digest as a content security policy names it."""
    digest = hashlib.sha256(script.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()
