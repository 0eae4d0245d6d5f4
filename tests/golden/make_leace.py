"""Writes leace.json: what the package ``concept-erasure`` 0.2.4 makes of a few states.

Run by hand where that package is installed; the tests only read the numbers.
"""

import json
from pathlib import Path

import numpy as np
import torch
from concept_erasure import LeaceFitter
from concept_erasure.shrinkage import optimal_linear_shrinkage

N, D, CLASSES = 48, 6, 3


def main() -> None:
    """States far from the origin, one entry constant, two entries equal."""
    random = np.random.default_rng(7)
    labels = np.arange(N) % CLASSES
    states = random.normal(size=(N, D)) @ random.normal(size=(D, D))
    states = states + 2 * random.normal(size=(CLASSES, D))[labels] + 50
    states[:, 1] = 3
    states[:, 4] = states[:, 5]
    states = torch.from_numpy(np.round(states, 3))
    classes = torch.nn.functional.one_hot(torch.from_numpy(labels), CLASSES).double()
    cases = []
    for shrinkage in (False, True):
        fitter = LeaceFitter(D, CLASSES, dtype=torch.float64, shrinkage=shrinkage)
        for rows, own in zip(states.split(16), classes.split(16), strict=True):
            fitter.update(rows, own)
        erased = fitter.eraser(states)
        cases.append({"share": _share(states) if shrinkage else 0.0, "erased": erased.tolist()})
    data = {"states": states.tolist(), "labels": labels.tolist(), "cases": cases}
    Path(__file__).with_name("leace.json").write_text(json.dumps(data) + "\n", encoding="utf-8")


def _share(states: torch.Tensor) -> float:
    """The package's shrinkage, as a share of the sphere of equal trace."""
    centred = states - states.mean(dim=0)
    covariance = centred.T @ centred / len(states)
    shrunk = optimal_linear_shrinkage(covariance, len(states))
    return 1 - float(shrunk[0, 2] / covariance[0, 2])


if __name__ == "__main__":
    main()
