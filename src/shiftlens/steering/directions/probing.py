"""The direction of a logistic probe."""

from typing import Any, cast

import numpy as np
import torch

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError
from shiftlens.steering.directions.choosing import Choice, finite_rows, sides_of
from shiftlens.steering.directions.means import along, made

_FOLDS = 5


def probe_direction(
    store: ActivationStore,
    *,
    source: Choice,
    target: Choice,
    penalty: float = 1.0,
    layer: int | None = None,
    seed: int = 0,
    name: str = "probe direction",
) -> SteeringVector:
    """Weights of a logistic regression that tells target rows from source rows.

    A probe finds what tells the classes apart, which need not be what makes the model choose: mean
    differences often steer better where probes read better. ``provenance["held_out_accuracy"]`` is
    its balanced accuracy (chance is .5) in five-fold cross validation, with the rows of one picture
    in one fold; ``None`` where there are too few pictures for two folds.

    Args:
        store: states at the site of the choice.
        source: which rows to move away from.
        target: which rows to move towards.
        penalty: strength of the ridge penalty on standardised states, above 0 (scikit-learn's
            1 / C).
        layer: which of the store's layers; may be left out when there is one.
        seed: of the folds.
        name: for people.

    Returns:
        a vector that points from source to target, as long as the means lie apart along it.

    Raises:
        SteeringError: a penalty that is not a positive number, fewer than 5 rows on a side, a row
            on both, states that are not finite, or means that agree along the direction.
    """
    if not (penalty > 0 and np.isfinite(penalty)):
        raise SteeringError(f"a penalty of {penalty}", allowed="a number above 0")
    sides = sides_of(store, source, target, name)
    before, after = (finite_rows(side.states(layer), name) for side in sides)
    states = torch.cat([before, after])
    truth = np.repeat([0, 1], [len(before), len(after)])
    groups = [row.image or row.sample_id for side in sides for row in side.rows]
    probe = _probe(penalty)
    accuracy = _held_out(probe, states.numpy(), truth, groups, seed)
    probe.fit(states.numpy(), truth)
    scaler, fitted = probe[0], probe[1]
    weights = torch.from_numpy(np.asarray(fitted.coef_[0] / scaler.scale_, dtype=np.float64))
    gap = after.mean(dim=0) - before.mean(dim=0)
    direction = along(weights / weights.norm().clamp_min(1e-300), gap, name)
    about = {
        "rows": {"source": len(before), "target": len(after)},
        "penalty": penalty,
        "held_out_accuracy": accuracy,
    }
    norm = float(states.norm(dim=1).mean())
    return made(store, layer, direction, norm, name, "logistic probe", about)


def _probe(penalty: float) -> Any:
    """Standardises inside the pipeline, so that a held-out fold takes no part in it."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, max_iter=2000))


def _held_out(probe: Any, states: Any, truth: Any, groups: list[str], seed: int) -> float | None:
    """Balanced accuracy over folds in which no picture is both fitted and judged."""
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    names = np.array(groups)
    folds = min(_FOLDS, *(len(set(names[truth == side])) for side in (0, 1)))
    if folds < 2:
        return None
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    said = cross_val_predict(probe, states, truth, groups=names, cv=cast(Any, splits))
    return float(balanced_accuracy_score(truth, said))
