"""The one-way street between the rooms, and the size and names of what stands in them."""

import ast
import tomllib

import pytest
from tests.layout.sources import ROOT, SOURCE, TESTS, files, imports, package_of, tree

STREET = (
    "core",
    "data",
    "models",
    "activations",
    "concepts",
    "shift",
    "steering",
    "reporting",
    "study",
    "cli",
)
"""A room may import what stands to its left, and nothing to its right; lazy imports count."""

ASIDE = {
    "world": {"core", "data", "models"},
    "distributed": {"core", "data", "models", "activations"},
    # Pictures, what is typed for `shiftlens steer`, and the strict reader of strangers' files;
    # beside them the public names alone.
    "playground": {"core", "data", "models", "steering"},
}
"""Rooms off the street, and what they may import."""

MAY_IMPORT_ASIDE = {
    "cli/harvest_workers.py": "distributed",
    "cli/serve.py": "playground",
    "cli/world.py": "world",
}
"""Entry points, each to one room; everybody else finds the world by name (``world:people``)."""

MOST_LINES = 500


def _allowed(room: str) -> set[str]:
    if room in ASIDE:
        return {room} | ASIDE[room]
    return set(STREET[: STREET.index(room) + 1])


def _wrong(name: str, module: ast.AST, package: str) -> list[str]:
    """The imports of one file that go against the street."""
    room = name.split("/")[0]
    if room.endswith(".py"):  # shiftlens/__init__.py: its names are imported when first used
        aside = tuple(f"shiftlens.{one}" for one in ASIDE)
        return [one for one in imports(module, package) if one.startswith(aside)]
    wrong: list[str] = []
    for one in imports(module, package):
        parts = one.split(".")
        # ``from shiftlens import __version__`` names no room.
        if parts[0] != "shiftlens" or len(parts) < 2 or parts[1].startswith("__"):
            continue
        entry = MAY_IMPORT_ASIDE.get(name) == parts[1]
        if parts[1] not in _allowed(room) and not entry:
            wrong.append(one)
    return wrong


def test_every_room_is_on_the_street_or_aside() -> None:
    rooms = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert rooms <= {*STREET, *ASIDE}


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_nobody_imports_from_the_right(path) -> None:
    name = path.relative_to(SOURCE).as_posix()
    assert _wrong(name, tree(path), package_of(path)) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("core/x.py", "import shiftlens.data.sample"),
        ("core/x.py", "from ..data import sample"),
        ("data/x.py", "def f():\n    from shiftlens.models.model import Model"),
        ("concepts/x.py", "from shiftlens import shift"),
        ("shift/x.py", "import_module('shiftlens.steering.applying')"),
        ("shift/x.py", "if TYPE_CHECKING:\n    from shiftlens.study import words"),
        ("steering/x.py", "from shiftlens.world.scenes import Scene"),
        ("world/x.py", "from shiftlens.activations.site import Site"),
        ("cli/run.py", "from shiftlens.world.scenes import Scene"),
        ("cli/world.py", "from shiftlens.distributed.rates import WorkerRate"),
        ("activations/x.py", "from shiftlens.distributed.rates import WorkerRate"),
        ("playground/x.py", "from shiftlens.shift.comparing import compare"),
        ("distributed/x.py", "from shiftlens.cli.terminal import console"),
    ],
)
def test_twin_a_wrong_import_is_found(name: str, source: str) -> None:
    package = f"shiftlens.{name.split('/')[0]}"
    assert len(_wrong(name, ast.parse(source), package)) == 1


def test_the_entry_points_of_the_world_are_all_the_doors_it_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    offered = project["entry-points"]
    for group in ("shiftlens.sources", "shiftlens.models"):
        assert set(offered[group]) == {"world"}
    doors = {name for name in MAY_IMPORT_ASIDE if (SOURCE / name).exists()}
    assert doors == set(MAY_IMPORT_ASIDE), "an exception that nobody needs any more"


def test_a_learner_sees_arrays_and_never_a_model() -> None:
    """``concepts`` may import ``models`` inside ``grounding`` alone."""
    for path in files(SOURCE / "concepts"):
        if "grounding" not in path.parts:
            found = [
                one
                for one in imports(tree(path), package_of(path))
                if one.startswith("shiftlens.models")
            ]
            assert found == [], path


def test_data_owns_no_tensors() -> None:
    for path in [*files(SOURCE / "data"), *files(SOURCE / "core")]:
        heavy = [
            one
            for one in imports(tree(path), package_of(path))
            if one.split(".")[0] in ("torch", "transformers", "jaxtyping")
        ]
        assert heavy == [] or path == SOURCE / "core" / "shapes.py", path


@pytest.mark.parametrize("folder", [SOURCE, TESTS, ROOT / "benchmarks"], ids=lambda f: f.name)
def test_no_file_is_long_and_none_is_a_drawer(folder) -> None:
    long = {
        str(path): count
        for path in files(folder)
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}
    names = {part for path in files(folder) for part in (path.stem, path.parent.name)}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}


def test_nothing_shared_is_pickled() -> None:
    """Results are shared files: no pickle, and no loader that runs it."""
    for path in files():
        names = {one.split(".")[0] for one in imports(tree(path), package_of(path))}
        assert not names & {"pickle", "cPickle", "dill", "joblib", "cloudpickle"}, path
        calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
        for call in calls:
            if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name):
                assert (call.value.id, call.attr) not in {("torch", "load"), ("torch", "save")}
