"""The menu of the site: sections, and in them the pages in their order."""

from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"

_TUTORIALS = (
    "tutorials/find-concepts",
    "tutorials/diff-a-fine-tune",
    "tutorials/steer",
    "tutorials/debias",
    "tutorials/safety-with-gates",
    "tutorials/your-own-model",
    "tutorials/cluster",
    "tutorials/check-in-ci",
)
_HOW_TO = (
    *("how-to", "doctor", "data", "pictures", "tokens", "words", "store", "cluster", "faults"),
    *("learn", "explain", "report", "plots"),
    *("check", "placebos", "trajectories", "drift"),
    *(
        "steering",
        "search",
        "evaluate",
        "exporting",
        "baking",
        "serving",
        "playground",
        "importing",
        "privacy",
    ),
)
_METHOD = ("method", "adapters", "geometry", "world")
_HELP = ("errors", "faq", "comparison", "release", "writing-docs")


@dataclass(frozen=True)
class Section:
    """A part of the menu.

    Attributes:
        title: what stands above it.
        pages: addresses under ``docs/``, without their ending.
    """

    title: str
    pages: tuple[str, ...]


def sections(reference: tuple[str, ...]) -> tuple[Section, ...]:
    """The whole menu; pages that are placed nowhere come last in "How to" and in "Formats"."""
    placed = {*_TUTORIALS, *_HOW_TO, *_METHOD, *_HELP, "index", "tutorials/index"}
    others = tuple(name for name in _pages(DOCS) if name not in placed)
    return (
        Section("Tutorials", ("tutorials/index", *_TUTORIALS)),
        Section("How to", (*_HOW_TO, *others)),
        Section("Method", _METHOD),
        Section("Formats", tuple(f"formats/{name}" for name in _pages(DOCS / "formats"))),
        Section("Reference", reference),
        Section("Help", _HELP),
    )


def short_title(page: Path) -> str:
    """The heading of a page up to a colon or a comma: what fits into a menu."""
    lines = page.read_text(encoding="utf-8").splitlines()
    heading = next(line.removeprefix("# ") for line in lines if line.startswith("# "))
    whole = heading.replace("`", "")
    return whole.split(":")[0].split(",")[0].strip()


def _pages(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.md"))
