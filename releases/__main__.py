"""``python -m releases``: build wheel and sources, say what they hold, install them, try them."""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from releases.building import ROOT, build, known_files
from releases.contents import missing_in_sources, names_in, parts, wrong
from releases.trying import environment, python_version, tried, where

_MB = 1e6


def main(arguments: list[str] | None = None) -> int:
    """Do all of it; 1 where something is wrong, with a line for each fault."""
    wanted = _parser().parse_args(arguments)
    faults = _tag_faults(wanted.tag) if wanted.tag else []
    with tempfile.TemporaryDirectory() as workshop:
        wheel, sources = build(wanted.out, Path(workshop))
    tracked = [name.removeprefix("src/") for name in known_files("src/shiftlens")]
    sizes = names_in(wheel)
    faults += wrong(list(sizes), tracked) + missing_in_sources(sources)
    _print_contents(wheel, sources, sizes)
    if not faults:
        _try(wheel.resolve(), whole=wanted.whole, demo=wanted.demo)
    for fault in faults:
        print(f"WRONG: {fault}")
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m releases", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where both files go")
    parser.add_argument(
        "--whole", action="store_true", help="install the tested versions of all dependencies too"
    )
    parser.add_argument("--demo", action="store_true", help="run the demo from the wheel")
    parser.add_argument("--tag", default="", help="refuse unless the version is this tag's: v0.1.0")
    return parser


def _tag_faults(tag: str) -> list[str]:
    """Why a tag is not that of this version, or of one that is not dated yet."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'(?m)^version = "(.+)"', project)
    assert version is not None
    if tag != f"v{version[1]}":
        return [f"the tag {tag} is not that of version {version[1]}"]
    top = re.search(r"(?m)^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    dated = top is not None and re.fullmatch(
        rf"{re.escape(version[1])} \(\d{{4}}-\d\d-\d\d\)", top[1]
    )
    return [] if dated else [f"the changelog does not begin with {version[1]} and a date"]


def _print_contents(wheel: Path, sources: Path, sizes: dict[str, int]) -> None:
    unpacked = sum(sizes.values())
    print(f"{wheel.name}  {wheel.stat().st_size / _MB:.1f} MB, {len(sizes)} files")
    for part in parts(sizes):
        print(f"  {part.name:<32}{part.files:>6} files{part.size / _MB:>8.1f} MB")
    print(f"  {'unpacked':<32}{len(sizes):>6} files{unpacked / _MB:>8.1f} MB")
    print(f"{sources.name}  {sources.stat().st_size / _MB:.1f} MB")


def _try(wheel: Path, *, whole: bool, demo: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        programs = environment(folder / "environment", wheel, whole=whole)
        found = where(programs, folder)
        if folder.resolve() not in found.resolve().parents:
            raise SystemExit(f"what was tried is not the wheel but {found}")
        print(f"installed into an environment of its own, {python_version()}")
        commands = [["--version"], ["--help"], ["doctor", "world:base", "--quiet"]]
        commands += [["demo", "--quiet"]] if demo else []
        for words in commands:
            _, seconds = tried(programs, folder, *words)
            print(f"  shiftlens {' '.join(words):<26} {seconds:>6.1f} s")
        if demo:
            page = folder / "demo" / "report.html"
            print(f"  demo/report.html {page.stat().st_size / _MB:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
