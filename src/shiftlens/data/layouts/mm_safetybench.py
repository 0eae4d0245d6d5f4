"""MM-SafetyBench (Liu et al. 2024): dangerous requests whose danger is shown in the picture."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.layouts.layout import Layout, asked, existing, finish, layouts
from shiftlens.data.layouts.rows import field, load_object
from shiftlens.data.sample import Sample, Samples

IMAGES = ("SD", "TYPO", "SD_TYPO")
"""Kinds of pictures: painted by Stable Diffusion, the key phrase as text, or both."""

SCENARIOS: dict[str, str] = {
    "01-Illegal_Activitiy": "generic",  # spelled so by its authors
    "02-HateSpeech": "generic",
    "03-Malware_Generation": "generic",
    "04-Physical_Harm": "generic",
    "05-EconomicHarm": "generic",
    "06-Fraud": "generic",
    "07-Sex": "generic",
    "08-Political_Lobbying": "political",
    "09-Privacy_Violence": "generic",
    "10-Legal_Opinion": "professional advice",
    "11-Financial_Advice": "professional advice",
    "12-Health_Consultation": "professional advice",
    "13-Gov_Decision": "political",
}
"""Scenarios, and the group whose rule says what a safe answer is."""

_MENDED = {"01-Illegal_Activity": "01-Illegal_Activitiy"}
_NUMBERED = re.compile(r"\d\d-\w+")


def read_mm_safetybench(
    path: str | Path,
    images: str = "SD_TYPO",
    *,
    folder: str | Path | None = None,
    prompt: str | None = None,
    limit: int | None = None,
) -> Samples:
    """Read MM-SafetyBench.

    The layout was written down from knowledge and compared with readers that others published
    (names of scenarios, keys, and which question goes with which pictures), not with the files. It
    is assumed to be::

        data/processed_questions/01-Illegal_Activitiy.json   {"0": {"Question": ...,
                                                             "Rephrased Question": ...,
                                                             "Rephrased Question(SD)": ...}}
        data/imgs/01-Illegal_Activitiy/SD/0.jpg              and so in TYPO and SD_TYPO

    for the thirteen of ``SCENARIOS`` or some of them; the misspelt first one may also be spelled
    right. ``SD`` pictures are asked about with ``Rephrased Question(SD)``, both others with
    ``Rephrased Question``, which points to the text in the picture. Ids are
    ``01-Illegal_Activitiy/0``, the same for all kinds of pictures; the order is by scenario, then
    by number. Labels are ``scenario``, ``group`` (``generic``, ``political``, ``professional
    advice``), ``dangerous`` (``True``), and ``question``, what is meant without any picture, for a
    judge.

    Args:
        path: the folder that holds ``data``, or ``data`` itself.
        images: the kind of pictures, one of ``IMAGES``.
        folder: the ``imgs`` folder, where it is not beside ``processed_questions``.
        prompt: asked in place of the questions; ``{question}`` in it stands for the question.
        limit: keep the first so many; they are of the first scenarios.

    Returns:
        the samples; pictures of single ones may be missing.

    Raises:
        DataError: the questions, or the pictures of a scenario that has questions, are missing; a
            scenario is unknown or there twice; a row is malformed; or no picture exists.
    """
    source = existing(path)
    if images not in IMAGES:
        raise DataError(f"no pictures are called {images!r}", allowed=", ".join(IMAGES))
    questions = _questions_folder(source)
    if questions is None:
        raise DataError(
            f"{source} holds no questions of MM-SafetyBench",
            allowed="files like data/processed_questions/02-HateSpeech.json",
        )
    pictures = questions.parent / "imgs" if folder is None else existing(folder)
    shown = _by_scenario(pictures, folders=True)
    samples: list[Sample] = []
    for scenario, file in _by_scenario(questions, folders=False).items():
        place = shown.get(scenario, pictures / file.stem) / images
        if not place.is_dir():
            raise DataError(
                f"{file.name} has no image folder at {place}",
                remedy="put the pictures there, or say where imgs is: folder=...",
            )
        samples.extend(_samples(file, scenario, place, prompt))
    if samples and not any(Path(sample.images[0]).is_file() for sample in samples):
        raise DataError(
            f"no picture of {len(samples)} is in {pictures}",
            allowed=f"files like 02-HateSpeech/{images}/0.jpg",
        )
    return finish(samples, source, limit)


def _samples(file: Path, scenario: str, place: Path, prompt: str | None) -> Iterator[Sample]:
    """The samples of one scenario, in the order of their numbers."""
    key = "Rephrased Question(SD)" if place.name == "SD" else "Rephrased Question"
    for number, where, row in _rows(file):
        labels = {
            "scenario": scenario,
            "group": SCENARIOS[scenario],
            "dangerous": True,
            "question": field(row, "Question", str, where),
        }
        asks = asked(field(row, key, str, where), prompt)
        picture = str(place / f"{number}.jpg")
        yield Sample(f"{scenario}/{number}", asks, (picture,), labels=labels)


def _rows(file: Path) -> list[tuple[int, str, dict[str, Any]]]:
    """Number, name for messages, and row."""
    found: list[tuple[int, str, dict[str, Any]]] = []
    for key, row in load_object(file).items():
        where = f"row {key!r} of {file.name}"
        if not re.fullmatch(r"0|[1-9][0-9]*", key) or not isinstance(row, dict):
            raise DataError(f"{where} is not a numbered object", allowed='{"0": {...}, "1": {...}}')
        found.append((int(key), where, row))
    return sorted(found, key=lambda one: one[0])


def _by_scenario(place: Path, *, folders: bool) -> dict[str, Path]:
    """Files or folders by scenario, in order.

    Raises:
        DataError: the folder is missing, or what is in it is none of the scenarios, or twice one.
    """
    if not place.is_dir():
        raise DataError(f"there is no image folder at {place}", remedy="pass folder=...")
    found: dict[str, Path] = {}
    for one in sorted(place.iterdir() if folders else place.glob("*.json")):
        # Archives leave folders like __MACOSX and files like .DS_Store behind.
        if one.name.startswith((".", "_")) or one.is_dir() != folders:
            continue
        name = one.name if folders else one.stem
        scenario = _MENDED.get(name, name)
        if scenario not in SCENARIOS or scenario in found:
            problem = "is there twice" if scenario in found else "is no scenario of MM-SafetyBench"
            raise DataError(f"{one}: {name} {problem}", allowed=", ".join(SCENARIOS))
        found[scenario] = one
    return found


def _questions_folder(path: Path) -> Path | None:
    """The folder of questions, where there is one with numbered scenarios."""
    for place in (path / "data" / "processed_questions", path / "processed_questions"):
        if any(_NUMBERED.fullmatch(one.stem) for one in place.glob("*.json")):
            return place
    return None


def _fits(path: Path) -> bool:
    return _questions_folder(path) is not None


layouts.register("mm_safetybench")(Layout(_fits, read_mm_safetybench, "read_mm_safetybench"))
