"""Folders of results as verbs leave them."""

import json
from pathlib import Path

from tests.unit.reporting.builders import build_report
from tests.unit.reporting.evaluation_builders import build_evaluation
from tests.unit.reporting.explaining_builders import build_explanation
from tests.unit.reporting.search_builders import build_search
from tests.unit.reporting.trajectory_builders import build_trajectory


def build_results(root: Path, *, base: str = "world:base") -> list[Path]:
    """Folders with a run, a trajectory, an evaluation, an explanation and a search."""
    run = build_report(root / "run")
    run["models"]["base"]["name"] = base
    documents = {
        "run/metrics.json": run,
        "training/trajectory.json": build_trajectory().to_dict(),
        "evaluated/evaluation.json": build_evaluation().to_dict(),
        "explained/explanation.json": build_explanation(root / "explained"),
        "searched/search.json": build_search(),
    }
    for name, document in documents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(document), encoding="utf-8")
    return [(root / name).parent for name in documents]
