"""The last touches to built pages: what the theme leaves out, and texts for the search.

A page that is opened from a disk may not fetch its neighbours, which is how the generator's search
finds its excerpts: the texts of all pages lie in one script beside them instead.
"""

import json
import re
from pathlib import Path

TEXTS = "page-texts.js"
_SIGNATURE = re.compile(r'(?s)<dt class="sig [^>]*>.*?</dt>')
_MAIN = re.compile(r'(?s)<article role="main"[^>]*>(.*?)</article>')
_UNSAID = re.compile(
    r'(?s)<(script|style)\b.*?</\1>|<a class="headerlink".*?</a>|<(?!/?section\b)[^>]*>'
)
_NAMED = re.compile(r"<section\b[^>]*?(\sid=\"[^\"]*\")[^>]*>")
_SEARCH = '<script src="_static/searchtools.js"></script>'
_LABELS = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Menu">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="On this page">',
}


def finish(site: Path) -> None:
    """Finish every page of a built site, and write the texts that its search shows."""
    texts: dict[str, str] = {}
    for page in sorted(site.rglob("*.html")):
        built = page.read_text(encoding="utf-8")
        texts[page.relative_to(site).as_posix()] = searched(built)
        page.write_text(finished(built), encoding="utf-8")
    told = json.dumps(texts, ensure_ascii=False)
    (site / "_static" / TEXTS).write_text(f"window.PAGE_TEXTS = {told};\n", encoding="utf-8")


def finished(page: str) -> str:
    """A page that a screen reader can find its way in; the search page with its texts."""
    for bare, labelled in _LABELS.items():
        page = page.replace(bare, labelled)
    page = _SIGNATURE.sub(lambda found: _lines(found[0]), page)
    before = (TEXTS, "search.js")
    ours = "".join(f'<script src="_static/{name}"></script>\n' for name in before)
    return page.replace(_SEARCH, f"{ours}{_SEARCH}")


def searched(page: str) -> str:
    """What the search reads of a page: its text, in sections with their addresses."""
    main = _MAIN.search(page)
    if main is None:
        return ""
    said = _NAMED.sub(r"<section\1>", _UNSAID.sub(" ", main[1]))
    return f'<div role="main">{" ".join(said.split())}</div>'


def _lines(signature: str) -> str:
    """A signature of several lines: it is no list of definitions, whatever it is written as."""
    lines = signature.replace("<dl>", '<div class="sig-lines">').replace("</dl>", "</div>")
    return lines.replace("<dd>", "<div>").replace("</dd>", "</div>")
