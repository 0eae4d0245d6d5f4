"""Do concepts fall together with what is known of the pictures? Mutual information and purity."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from shiftlens.concepts.quality.figures import Baseline, Figure
from shiftlens.concepts.quality.resampling import half_samples, spread_interval, units_of
from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import percentile
from shiftlens.core.shapes import Assignment


def agreement(assignment: Tensor, factor: Sequence[object]) -> float:
    """Adjusted mutual information between concepts and a known factor.

    0 is what chance gives, 1 is perfect agreement; it does not reward many small concepts.

    Args:
        assignment: (n,) index of each row's concept.
        factor: n values of the known factor.

    Raises:
        LearnError: lengths differ.
    """
    return _mutual(*_numbers(assignment, factor))


def adjusted_rand(assignment: Tensor, factor: Sequence[object]) -> float:
    """Adjusted Rand index: pairs of rows that both sides put together, beyond chance.

    Args:
        assignment: (n,) index of each row's concept.
        factor: n values of the known factor.

    Raises:
        LearnError: lengths differ.
    """
    from sklearn.metrics import adjusted_rand_score

    labels, values = _numbers(assignment, factor)
    return float(adjusted_rand_score(values, labels))


def purity(assignment: Tensor, factor: Sequence[object]) -> float:
    """Share of rows that have the commonest value of their concept.

    1 for concepts that each hold one value. Many small concepts are pure by chance: read it beside
    ``purity_figure``'s chance level.

    Args:
        assignment: (n,) index of each row's concept.
        factor: n values of the known factor.

    Raises:
        LearnError: lengths differ, or there are no rows.
    """
    return _purity(*_numbers(assignment, factor))


def agreement_figure(
    assignment: Assignment,
    factor: Sequence[object],
    *,
    name: str,
    baselines: Mapping[str, Sequence[Assignment]] | None = None,
    groups: Sequence[object] | None = None,
    seed: int = 0,
) -> Figure:
    """Adjusted mutual information with an interval, beside assignments that nobody learned.

    The interval comes from random halves of the pictures, given these concepts: a bootstrap repeats
    rows, and repeated rows agree with themselves.

    Args:
        assignment: (n,) concept of each row.
        factor: n values of the known factor.
        name: of the factor.
        baselines: other assignments of the same rows, by name; several of one name are averaged.
        groups: one a row; rows of one group (picture) stay together.
        seed: of the halves.

    Raises:
        LearnError: lengths differ, or there are fewer than four pictures.
    """
    named = {key: list(them) for key, them in (baselines or {}).items() if them}
    every = [assignment, *(one for them in named.values() for one in them)]
    columns = [_numbers(one, factor) for one in every]
    units = units_of(len(columns[0][0]), groups)

    def scores(rows: np.ndarray) -> np.ndarray:
        return np.asarray([_mutual(labels[rows], values[rows]) for labels, values in columns])

    whole, halves = half_samples(scores, units, seed=seed)
    found: list[Baseline] = []
    start = 1
    for key, them in named.items():
        mine = slice(start, start + len(them))
        start += len(them)
        other, spread = float(whole[mine].mean()), halves[:, mine].mean(axis=1)
        gain = spread_interval(float(whole[0]) - other, halves[:, 0] - spread, most=2.0)
        found.append(Baseline(key, spread_interval(other, spread), gain))
    value = spread_interval(float(whole[0]), halves[:, 0])
    unit = "pictures" if groups is not None else "rows"
    counts = {"rows": len(units), "values": len(set(columns[0][1].tolist()))}
    return Figure(f"AMI with {name}", value, unit, "higher", tuple(found), counts)


def purity_figure(
    assignment: Assignment,
    factor: Sequence[object],
    *,
    name: str,
    baselines: Mapping[str, Sequence[Assignment]] | None = None,
    groups: Sequence[object] | None = None,
    seed: int = 0,
    draws: int = 200,
) -> Figure:
    """Purity with an interval, beside its chance level and assignments that nobody learned.

    Args:
        assignment: (n,) concept of each row.
        factor: n values of the known factor.
        name: of the factor.
        baselines: other assignments of the same rows, by name; several of one name are averaged.
        groups: one a row; rows of one group (picture) stay together, also when values are shuffled,
            where every row of a group has one value.
        seed: of halves and shuffles.
        draws: shuffles of the factor; the chance level is their mean, its interval their middle
            95 %: what purity is without any agreement.

    Raises:
        LearnError: lengths differ, or there are fewer than four pictures.
    """
    named = {key: list(them) for key, them in (baselines or {}).items() if them}
    labels, values = _numbers(assignment, factor)
    units = units_of(len(labels), groups)
    shuffled = _shuffles(values, units, np.random.default_rng(seed), draws)
    chance = [_purity(labels, one) for one in shuffled]
    level = float(np.mean(chance))
    others = {key: [_numbers(one, factor)[0] for one in them] for key, them in named.items()}

    def scores(rows: np.ndarray) -> np.ndarray:
        mine = _purity(labels[rows], values[rows])
        rest = [
            np.mean([_purity(one[rows], values[rows]) for one in them]) for them in others.values()
        ]
        return np.asarray([mine, *rest])

    whole, halves = half_samples(scores, units, seed=seed)
    value = spread_interval(float(whole[0]), halves[:, 0])
    above = spread_interval(float(whole[0]) - level, halves[:, 0])
    found = [Baseline("chance", percentile(chance, level), above)]
    for place, key in enumerate(others, start=1):
        other = spread_interval(float(whole[place]), halves[:, place])
        gain = halves[:, 0] - halves[:, place]
        found.append(Baseline(key, other, spread_interval(float(whole[0] - whole[place]), gain)))
    unit = "pictures" if groups is not None else "rows"
    counts = {"rows": len(units), "values": len(set(values.tolist()))}
    return Figure(f"purity of {name}", value, unit, "higher", tuple(found), counts)


def _numbers(assignment: Tensor, factor: Sequence[object]) -> tuple[np.ndarray, np.ndarray]:
    """Both sides as numbers from 0, (n,) each."""
    if len(assignment) != len(factor):
        raise LearnError(f"{len(assignment)} rows with {len(factor)} values of the factor")
    if not len(factor):
        raise LearnError("there are no rows to measure", allowed="one row or more")
    labels = np.unique(assignment.cpu().numpy(), return_inverse=True)[1].reshape(-1)
    values = np.unique([str(value) for value in factor], return_inverse=True)[1].reshape(-1)
    return labels, values


def _mutual(labels: np.ndarray, values: np.ndarray) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    return float(adjusted_mutual_info_score(values, labels))


def _purity(labels: np.ndarray, values: np.ndarray) -> float:
    width = int(values.max()) + 1
    table = np.bincount(labels * width + values, minlength=(int(labels.max()) + 1) * width)
    return float(table.reshape(-1, width).max(axis=1).sum()) / len(labels)


def _shuffles(
    values: np.ndarray, units: np.ndarray, rng: np.random.Generator, draws: int
) -> list[np.ndarray]:
    """The factor shuffled among pictures, or among rows where pictures hold several values."""
    firsts = np.unique(units, return_index=True)[1]
    if (values == values[firsts][units]).all():
        return [rng.permutation(values[firsts])[units] for _ in range(draws)]
    return [rng.permutation(values) for _ in range(draws)]
