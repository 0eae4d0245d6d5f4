"""The documentation site: built without a warning, closed in itself, every public name in it."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from docsite import navigation, public_names, verbs
from docsite.finishing import finished, searched
from docsite.staging import outside
from tests.site_building import built_site

import shiftlens
from shiftlens import _HOMES  # pyright: ignore[reportPrivateUsage]

_REQUESTS = re.compile(r'(?:src|srcset|href)="((?:https?:)?//[^"]+)"')
_LOADED = re.compile(r"<(?:script|img|iframe|link|source|object)\b[^>]*>")
_URL = re.compile(r"url\(\s*['\"]?((?:https?:)?//[^)]+)\)|@import\s+['\"](?:https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_site(tmp_path_factory.mktemp("built") / "site")


def asked_of_others(page: str) -> list[str]:
    """What a page loads from another machine; links that a reader may follow do not count."""
    return [found for tag in _LOADED.findall(page) for found in _REQUESTS.findall(tag)]


@pytest.mark.slow
def test_the_site_is_whole_and_asks_nothing_of_another_machine(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    loaded = {str(page): asked_of_others(page.read_text(encoding="utf-8")) for page in pages}
    assert {page: found for page, found in loaded.items() if found} == {}
    sheets = [path for path in site.rglob("*.css") if _URL.search(path.read_text(encoding="utf-8"))]
    assert sheets == []
    assert (site / "searchindex.js").stat().st_size > 10_000
    assert _broken(site, pages) == []


def _broken(site: Path, pages: list[Path]) -> list[str]:
    """Links between pages of the site that lead to no file, or to no place in it."""
    written = {page.resolve(): page.read_text(encoding="utf-8") for page in pages}
    places = {page: set(re.findall(r'\sid="([^"]+)"', text)) for page, text in written.items()}
    wrong: list[str] = []
    for page, text in written.items():
        for link in re.findall(r'<a\b[^>]*\shref="([^"]+)"', text):
            target, place = (unquote(part) for part in urldefrag(link))
            if "://" in link or link.startswith("mailto:"):
                continue
            to = (page.parent / target).resolve() if target else page
            if not to.exists() or (place and place not in places.get(to, {place})):
                wrong.append(f"{page.relative_to(site.resolve())}: {link}")
    return wrong


def test_links_to_no_file_and_to_no_place_are_found(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text(
        '<h1 id="top">A</h1><a href="#top"></a><a href="#gone"></a><a href="b.html"></a>'
        '<a href="https://elsewhere.org/#x"></a><a href="a.html#top"></a>'
    )
    assert _broken(tmp_path, [page]) == ["a.html: #gone", "a.html: b.html"]


@pytest.mark.slow
def test_every_public_name_and_every_verb_is_in_the_reference(site: Path) -> None:
    pages = "".join(
        path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html")
    )
    for name in set(_HOMES) - {"tokens", "ShiftLensError"}:
        assert f'id="shiftlens.{name}"' in pages, name
    for name in ("shiftlens.activations.tokens.word", "shiftlens.core.errors.ShiftLensError"):
        assert f'id="{name}"' in pages, name
    for name, _ in verbs.verbs():
        assert f'id="{name.replace(" ", "-")}"' in pages, name


def test_what_is_asked_of_another_machine_is_seen() -> None:
    assert asked_of_others('<script src="https://elsewhere.org/a.js"></script>')
    assert asked_of_others('<link rel="stylesheet" href="//elsewhere.org/a.css">')
    assert not asked_of_others('<a href="https://elsewhere.org">a link to follow</a>')


def test_every_public_name_stands_on_one_page() -> None:
    placed = [name for page in public_names.pages() for name in page.names]
    assert sorted(placed) == sorted(_HOMES)


def missing_sections(name: str, found: object) -> list[str]:
    """Which parts of its docstring a public name lacks."""
    told = inspect.getdoc(found) or ""
    if inspect.ismodule(found):
        return [] if told else ["a docstring"]
    if inspect.isclass(found):
        ways = r"(?m)^(Args|Attributes):$|^Open one with ``\w+\.open``"  # a store is never built
        return [] if re.search(ways, told) else ["Args or Attributes"]
    signature = inspect.signature(found)  # pyright: ignore[reportArgumentType]
    wanted = {"Args": bool(signature.parameters), "Raises": True}
    wanted["Returns|Yields"] = signature.return_annotation not in (None, "None")
    return [part for part, is_due in wanted.items() if is_due and not _has(told, part)]


def _has(told: str, part: str) -> bool:
    return re.search(rf"(?m)^(?:{part}):$", told) is not None


@pytest.mark.parametrize("name", sorted(_HOMES))
def test_every_public_name_says_what_it_takes_gives_and_raises(name: str) -> None:
    assert missing_sections(name, getattr(shiftlens, name)) == []


def test_a_docstring_without_its_parts_is_found() -> None:
    def bare(x: int) -> int:
        """Does something."""
        return x

    assert missing_sections("bare", bare) == ["Args", "Raises", "Returns|Yields"]


def _methods() -> Iterator[tuple[str, object]]:
    for name in sorted(_HOMES):
        found = getattr(shiftlens, name)
        if inspect.isclass(found):
            for own, value in vars(found).items():
                if not own.startswith("_") and (inspect.isfunction(value) or own in dir(property)):
                    yield f"{name}.{own}", value


def test_every_method_of_a_public_class_says_what_it_does() -> None:
    # ``update`` of a learner and the like inherit their words from the class that asks for them.
    bare = [name for name, method in _methods() if not inspect.getdoc(method)]
    assert bare == []


def test_every_verb_has_an_example_and_every_option_a_word() -> None:
    for name, command in verbs.verbs():
        assert "Example: shiftlens " in (command.help or ""), name
        bare = [one.name for one in command.params if not one.help and "--help" not in one.opts]
        assert bare == [], name


def test_every_page_is_in_the_menu() -> None:
    placed = {name for section in navigation.sections(()) for name in section.pages}
    written = {
        path.relative_to(navigation.DOCS).with_suffix("").as_posix()
        for path in navigation.DOCS.rglob("*.md")
    }
    assert written - placed == {"index"}
    assert placed - written == set()


def test_links_that_leave_the_pages_are_told_from_those_that_stay() -> None:
    assert outside("formats/policy.md", "../../examples/policy.toml") == "examples/policy.toml"
    assert outside("formats/policy.md", "../check.md") is None


def test_the_search_reads_a_page_s_text_and_its_sections() -> None:
    page = (
        '<script>no</script><article role="main" id="x"><section id="a" class="c"><h1>A &lt;b&gt;'
        '<a class="headerlink" href="#a">#</a></h1><p>one <b>two</b></p></section></article>'
    )
    said = '<div role="main"> <section id="a"> A &lt;b&gt; one two </section></div>'
    assert searched(page).replace("> ", ">").replace(" <", "<") == said.replace("> ", ">").replace(
        " <", "<"
    )
    assert searched("<p>no article</p>") == ""


def test_a_signature_of_several_lines_is_no_list_and_others_stay_one() -> None:
    page = '<dt class="sig py"><dl><dd>a,</dd></dl></dt><dl><dt>word</dt><dd>meaning</dd></dl>'
    told = finished(page)
    assert '<div class="sig-lines"><div>a,</div></div>' in told
    assert told.endswith("<dl><dt>word</dt><dd>meaning</dd></dl>")
