"""The reference of the Python names: which page each public name stands on, and its text."""

import inspect
from dataclasses import dataclass

import shiftlens
from shiftlens import _HOMES  # pyright: ignore[reportPrivateUsage]


@dataclass(frozen=True)
class Page:
    """One page of the reference.

    Attributes:
        name: of the file, without its ending.
        title: what the page is called.
        about: one sentence under the title.
        names: public names, in the order in which they are used.
    """

    name: str
    title: str
    about: str
    names: tuple[str, ...]


PAGES = (
    Page("data", "Data", "What a model is asked.", ("read",)),
    Page(
        "models",
        "Models",
        "Models, their adapters, and fine-tunes that teach nothing.",
        ("load_model", "load_pair", "load_variants", "record", "train_placebos"),
    ),
    Page(
        "states",
        "States",
        "Which states are kept, how they are harvested, and the store that holds them.",
        ("Site", "tokens", "harvest", "harvest_pair", "import_features", "ActivationStore"),
    ),
    Page(
        "concepts",
        "Concepts",
        "Learning concepts, choosing how many, and telling what they are.",
        ("learn", "choose_k", "quality", "Concepts", "ground", "explain", "read_sae", "suggest"),
    ),
    Page(
        "learners",
        "Learners",
        "The methods that find concepts in states.",
        ("KMeans", "MiniBatchKMeans", "SemiNMF", "SparseCoding", "PCA"),
    ),
    Page(
        "shift",
        "Shift",
        "What a fine-tune did to the concepts.",
        (
            *("compare", "compare_datasets", "ConceptShift", "diff"),
            *("trajectory", "Trajectory", "DriftCallback", "report"),
        ),
    ),
    Page(
        "steering",
        "Steering",
        "Steering a model, and what that does and costs.",
        ("SteeringVector", "steer", "search", "evaluate", "discover"),
    ),
    Page("errors", "Errors", "What is raised on purpose, and when.", ("ShiftLensError",)),
)
"""A public name that stands on no page goes to ``more``, so that none is ever left out."""

ERRORS = "shiftlens.core.errors"
_MORE = Page("more", "More", "Other public names.", ())


def pages() -> tuple[Page, ...]:
    """The pages of the reference; every public name stands on one of them."""
    placed = {name for page in PAGES for name in page.names}
    left = tuple(sorted(set(_HOMES) - placed))
    return PAGES if not left else (*PAGES, Page(_MORE.name, _MORE.title, _MORE.about, left))


def text(page: Page) -> str:
    """The page in Markdown; docstrings are put in by the generator."""
    if page.name == "errors":
        return _errors(page)
    return "\n".join([f"# {page.title}", "", page.about, "", *(_entry(one) for one in page.names)])


def _entry(name: str) -> str:
    found = getattr(shiftlens, name)
    if inspect.ismodule(found):
        return _block(name, f".. automodule:: {found.__name__}")
    kind = "autoclass" if inspect.isclass(found) else "autofunction"
    return _block(name, f".. {kind}:: shiftlens.{name}")


def _errors(page: Page) -> str:
    about = f"{page.about} What to do about each of them: [errors](../errors.md)."
    return f"# {page.title}\n\n{about}\n\n" + _block("", f".. automodule:: {ERRORS}")


def _block(heading: str, directive: str) -> str:
    above = f"## {heading}\n\n" if heading else ""
    return f"{above}```{{eval-rst}}\n{directive}\n```\n"
