"""``discover``: which directions between concepts mean something (Khayatan et al. 2025, app. B.3).

Every ordered pair of concepts gives a direction u_j - u_i. Steering with it raises the counts of
some answers; a direction that means something raises a few of them far above all others. Of the
answers with the largest relative increase, 2-means on what they gained tells those few, the
direction's target, from the rest; the score is the gap between the two groups.

What is split is what an answer gained and not its plain count: with plain counts an answer that is
common anyway gives a high score to a direction that does nothing.
"""

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError, StoreError
from shiftlens.core.manifest import read_json, write_json
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.sample import Samples
from shiftlens.models.model import Model
from shiftlens.steering.answer_gains import Gain, Score, score
from shiftlens.steering.directions import between_concepts, random_like
from shiftlens.steering.intervening import Intervention, check
from shiftlens.steering.outcomes import answer_counts
from shiftlens.steering.scopes import Scope
from shiftlens.steering.searching.asking import PLAIN, Asker, Questions
from shiftlens.steering.searching.ledger import Ledger

FILE = "discovery.json"
_SCHEMA = 1
_DATA = "discovery"


@dataclass(frozen=True)
class Direction:
    """One direction between concepts, judged.

    Attributes:
        source: index of the concept that it moves away from.
        target: index of the concept that it moves towards.
        name: for people.
        result: what answer counts say.
        length: of the vector.
        dose: mean length of the change over that of the states.
        beaten_by: how many of the random directions score at least as high.
    """

    source: int
    target: int
    name: str
    result: Score
    length: float
    dose: float
    beaten_by: int

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Discovery:
    """All directions between concepts, the most meaningful first.

    Attributes:
        directions: ranked by score; of equal scores the smaller dose comes first.
        null: scores of random directions as long as these, largest first.
        before: counts of the unsteered answers.
        n: how many samples were asked.
        about: JSON: model, concepts, data, strength, scope, seed.
    """

    directions: tuple[Direction, ...]
    null: tuple[int, ...]
    before: Mapping[str, int]
    n: int
    about: Mapping[str, Any]

    @property
    def meaningful(self) -> tuple[Direction, ...]:
        """Directions that score above every random one."""
        return tuple(one for one in self.directions if one.beaten_by == 0 and one.result.primary)

    def vector(self, rank: int, concepts: Concepts) -> SteeringVector:
        """The vector of a direction, for ``steer``.

        Args:
            rank: place in ``directions``, from 0.
            concepts: that were searched.
        """
        one = self.directions[rank]
        return between_concepts(concepts, one.source, one.target)

    def table(self) -> list[dict[str, Any]]:
        """One flat row a direction."""
        return [
            {
                "source": one.source,
                "target": one.target,
                "score": one.result.score,
                "more": ", ".join(gain.answer for gain in one.result.primary),
                "gained": [gain.gained for gain in one.result.primary],
                "fewer": one.result.lost[0] if one.result.lost else "",
                "lost": one.result.lost[1] if one.result.lost else 0,
                "dose": one.dose,
                "beaten_by": one.beaten_by,
            }
            for one in self.directions
        ]

    def summary(self, shown: int = 10) -> str:
        """The best directions, and how high random ones score."""
        found = len(self.meaningful)
        null = f"{len(self.null)} random directions as long score at most {max(self.null)}"
        lines = [f"{one.name} (score {one.result.score})" for one in self.directions[:shown]]
        head = f"{found} of {len(self.directions)} directions score above all random ones"
        return "\n".join([f"{head}; {null}, of {self.n} answers", *lines])

    def to_dict(self) -> dict[str, Any]:
        """The document (docs/search.md)."""
        return {
            "schema": _SCHEMA,
            "kind": "discovery",
            "about": dict(self.about),
            "n": self.n,
            "before": dict(self.before),
            "null": list(self.null),
            "directions": [one.to_dict() for one in self.directions],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Discovery":
        """What ``to_dict`` gave."""
        return cls(
            directions=tuple(_direction(one) for one in data["directions"]),
            null=tuple(data["null"]),
            before=data["before"],
            n=data["n"],
            about=data["about"],
        )

    def save(self, path: str | Path) -> None:
        """Write the document as JSON.

        Raises:
            MachineError: the disk is full.
        """
        write_json(Path(path), self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> "Discovery":
        """Read what ``save`` wrote.

        Raises:
            StoreError: missing, damaged, or of another schema.
        """
        data = read_json(Path(path))
        found = (data.get("kind"), data.get("schema")) if isinstance(data, dict) else (None, None)
        if found != ("discovery", _SCHEMA):
            raise StoreError(
                f"{path} holds {found[0]!r} of schema {found[1]!r}",
                allowed=f"'discovery' of schema {_SCHEMA}",
            )
        return cls.from_dict(data)


def discover(
    model: Model,
    concepts: Concepts,
    samples: Samples,
    *,
    strength: float = 1.0,
    scope: str | Scope = "response",
    top: int = 5,
    n_random: int = 20,
    max_new_tokens: int = 8,
    seed: int = 0,
    batch_size: int = 32,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Discovery:
    """Steer with the direction between every two concepts, and rank them by what they mean.

    Each batch is encoded once and asked under all directions. Random directions are scored in the
    same way; their lengths are spread over those of the directions.

    Args:
        model: who is steered.
        concepts: of one layer of this model, from other samples.
        samples: questions with short answers.
        strength: how much of each direction.
        scope: positions, as in ``steer``.
        top: how many answers with the largest relative increase are looked at, at least 2.
        n_random: how many random directions, at least 1.
        max_new_tokens: where an answer is cut off.
        seed: of the random directions.
        batch_size: questions at once.
        out: directory where answers are kept as they come, and ``discovery.json`` in the end; a run
            that was interrupted goes on there.
        progress: who is told.

    Returns:
        every direction with its score and targets, the best first, beside the random ones.

    Raises:
        SteeringError: fewer than two concepts, no samples, a top below 2, no random direction, a
            strength of 0.
        MismatchError: concepts of another model.
        DataError: a picture cannot be read.
    """
    _require(concepts, samples, top, n_random)
    if strength == 0:
        raise SteeringError("directions of strength 0 change nothing", allowed="any other number")
    vectors = {
        pair: between_concepts(concepts, *pair)
        for pair in itertools.permutations(range(concepts.k), 2)
    }
    arms = _arms(vectors, n_random, seed, strength, scope)
    for one in arms.values():
        if one is not None:
            check(model, one, None)
    root = None if out is None else Path(out)
    asker = Asker(model, Ledger(root), batch_size=batch_size, progress=progress or Silent())
    questions = Questions(_DATA, tuple(samples), max_new_tokens)
    asker.ask(questions, arms, len(samples), f"{len(vectors)} directions")
    counts = {arm: answer_counts(asker.answers(arm, questions).texts) for arm in arms}
    scores = {arm: score(counts[PLAIN], counts[arm], top) for arm in arms if arm != PLAIN}
    null = sorted((scores[number].score for number in range(n_random)), reverse=True)
    found = [
        Direction(
            *pair,
            name=_name(concepts, pair, scores[pair]),
            result=scores[pair],
            length=vector.norm,
            dose=asker.answers(pair, questions).dose,
            beaten_by=sum(other >= scores[pair].score for other in null),
        )
        for pair, vector in vectors.items()
    ]
    discovery = Discovery(
        directions=tuple(sorted(found, key=lambda one: (-one.result.score, one.dose))),
        null=tuple(null),
        before=counts[PLAIN],
        n=len(samples),
        about={
            "model": {"name": model.name, "adapter": model.adapter, "identity": model.identity},
            "concepts": {"k": concepts.k, "site": concepts.site.describe()},
            "data": samples.fingerprint,
            "strength": strength,
            "scope": str(scope),
            "top": top,
            "seed": seed,
        },
    )
    if root is not None:
        discovery.save(root / FILE)
    return discovery


def _arms(
    vectors: Mapping[tuple[int, int], SteeringVector],
    n_random: int,
    seed: int,
    strength: float,
    scope: str | Scope,
) -> dict[Any, Intervention | None]:
    """Every direction by its pair, and random ones by number, their lengths spread over theirs."""
    by_length = sorted(vectors.values(), key=lambda vector: vector.norm)
    arms: dict[Any, Intervention | None] = {PLAIN: None}
    arms |= {pair: Intervention(vector, strength, scope) for pair, vector in vectors.items()}
    for number in range(n_random):
        like = by_length[round(number * (len(by_length) - 1) / max(1, n_random - 1))]
        arms[number] = Intervention(random_like(like, seed + number), strength, scope)
    return arms


def _require(concepts: Concepts, samples: Samples, top: int, n_random: int) -> None:
    if concepts.k < 2:
        raise SteeringError(f"{concepts.k} concept has no direction to another", allowed="k >= 2")
    if not len(samples):
        raise SteeringError("no samples to ask", allowed="at least one, better 100")
    if top < 2 or n_random < 1:
        raise SteeringError(
            f"the {top} best answers against {n_random} random directions",
            allowed="at least 2 answers, which can be split, and 1 random direction",
        )


def _name(concepts: Concepts, pair: tuple[int, int], result: Score) -> str:
    """``concept 3 (dog) -> 5 (cat): more 'cat', fewer 'dog'``."""
    words = [_word(concepts, index) for index in pair]
    more = ", ".join(repr(one.answer) for one in result.primary)
    fewer = f", fewer {result.lost[0]!r}" if result.lost else ""
    said = f"more {more}{fewer}" if more else "no answer more often"
    return f"concept {pair[0]}{words[0]} -> {pair[1]}{words[1]}: {said}"


def _word(concepts: Concepts, index: int) -> str:
    """The first word of a concept, where it is grounded."""
    for lists in (concepts.contrastive, concepts.words):
        if lists and lists[index]:
            return f" ({lists[index][0]})"
    return ""


def _direction(data: Mapping[str, Any]) -> Direction:
    rest = {key: value for key, value in data.items() if key != "result"}
    return Direction(result=_score(data["result"]), **rest)


def _score(data: Mapping[str, Any]) -> Score:
    primary, secondary = (
        tuple(Gain(**one) for one in data[side]) for side in ("primary", "secondary")
    )
    lost = data["lost"]
    return Score(data["score"], primary, secondary, None if lost is None else (lost[0], lost[1]))
