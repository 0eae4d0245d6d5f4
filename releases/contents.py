"""What a wheel holds, part by part, and what is missing in it or has no place there."""

import fnmatch
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NEEDED = {
    "types": "shiftlens/py.typed",
    "pages of the report": "shiftlens/reporting/templates/*.j2",
    "style of the report": "shiftlens/reporting/templates/*.css",
    "script of the report": "shiftlens/reporting/templates/*.js",
    "style of the playground": "shiftlens/playground/*.css",
    "the world's experiment": "shiftlens/world/demo.toml",
    "the world's model": "shiftlens/world/models/base/*.safetensors",
    "the world's judge": "shiftlens/world/models/judge/*.safetensors",
    "the world's adapters": "shiftlens/world/models/places/adapter_config.json",
    "the licence": "*.dist-info/licenses/LICENSE",
    "the command": "*.dist-info/entry_points.txt",
}
"""What the package does not work without, and no import would miss."""

_FOREIGN = ("tests/*", "benchmarks/*", "docs/*", "*.pyc", "*/__pycache__/*", "*.egg-info/*")


@dataclass(frozen=True)
class Part:
    """Files of a wheel that belong together: how many, and their size in bytes, unpacked."""

    name: str
    files: int
    size: int


def names_in(wheel: Path) -> dict[str, int]:
    """Every file of a wheel with its size unpacked."""
    with zipfile.ZipFile(wheel) as archive:
        return {one.filename: one.file_size for one in archive.infolist() if not one.is_dir()}


def wrong(names: Sequence[str], tracked: Sequence[str]) -> list[str]:
    """What is wrong with the contents of a wheel, a sentence each.

    Args:
        names: of its files.
        tracked: of the package's files as git knows them: ``shiftlens/...``.
    """
    found = [
        f"{what} is missing: no {pattern}"
        for what, pattern in NEEDED.items()
        if not fnmatch.filter(names, pattern)
    ]
    ours = {name for name in names if ".dist-info/" not in name}
    found += [f"{name} is tracked, and was left behind" for name in sorted(set(tracked) - ours)]
    found += [f"{name} is not tracked, and came along" for name in sorted(ours - set(tracked))]
    foreign = {name for pattern in _FOREIGN for name in fnmatch.filter(names, pattern)}
    return found + [f"{name} has no place in a wheel" for name in sorted(foreign)]


def missing_in_sources(sources: Path) -> list[str]:
    """What an archive of the sources lacks to be built from, a sentence each."""
    with tarfile.open(sources) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    needed = ("pyproject.toml", "README.md", "LICENSE", "src/shiftlens/py.typed")
    return [f"{name} is missing in {sources.name}" for name in needed if name not in inside]


def parts(sizes: dict[str, int]) -> list[Part]:
    """The large pieces first; Python is what is left."""
    folders = ("base", "judge", "places", "colors", "moods")
    groups = {f"shiftlens/world/models/{one}": f"shiftlens/world/models/{one}/" for one in folders}
    groups |= {"pages and styles": "", "Python": "", "about the package": ""}
    found = dict.fromkeys(groups, (0, 0))
    for name, size in sizes.items():
        key = next((k for k, start in groups.items() if start and name.startswith(start)), "")
        if not key:
            page = name.endswith((".j2", ".css", ".js"))
            about = ".dist-info/" in name
            key = "about the package" if about else "pages and styles" if page else "Python"
        files, total = found[key]
        found[key] = (files + 1, total + size)
    listed = [Part(name, files, size) for name, (files, size) in found.items() if files]
    return sorted(listed, key=lambda part: -part.size)
