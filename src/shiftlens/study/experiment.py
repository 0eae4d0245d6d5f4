"""The experiment file: what is compared, on which data, and which steerings are tried.

A TOML file becomes frozen dataclasses. A key that is unknown, missing or of the wrong type is an
error that names the place and the keys that exist: a typo never means nothing.
"""

import math
import re
import tomllib
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from shiftlens.core.errors import DataError
from shiftlens.core.scopes import SCOPES


@dataclass(frozen=True)
class DataSpec:
    """Samples: ``source`` is a folder, a JSONL file or ``package:name``.

    ``where`` keeps the samples whose labels have one of the values: before ``n`` of them are
    chosen, or, where a package draws ``n`` samples, among those.
    """

    source: str
    prompt: str | None = None
    n: int | None = None
    seed: int = 0
    where: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


@dataclass(frozen=True)
class TunedSpec:
    """One of several fine-tunes of the base; ``about`` tells readers how it was trained."""

    name: str
    model: str
    about: str = ""


@dataclass(frozen=True)
class WordsSpec:
    """A token of interest: ``members`` are the words that count as it.

    ``normed`` takes the last block's states behind the final norm, as published figures do.
    ``explain`` says how many of the base model's answers the report explains word by word, and
    ``heat_maps`` how many pictures of each concept of either model get a heat map. ``margin`` is
    what counts as nothing in verdicts, in spreads; without one every verdict is undecided.
    """

    name: str
    members: list[str]
    data: str
    k: int = 20
    layer: int = -1
    factors: list[str] = field(default_factory=list[str])
    draws: int = 200
    normed: bool = False
    explain: int = 0
    heat_maps: int = 0
    margin: float | None = None


@dataclass(frozen=True)
class SteeringSpec:
    """What the kinds of steering have in common.

    ``fit`` is the share of the samples that the direction is learned from; everything that is
    reported is judged on the rest. ``controls`` random directions are asked beside every arm; with
    0 a single one is an arm of its own. ``instruction`` (the same wish in words) and ``with_tuned``
    (the fine-tuned model) are baselines; ``fluency`` measures how answers read, at the cost of a
    pass over each. ``strengths`` are further ones whose effect and side effects are shown beside
    those of ``strength``; nothing is chosen among them.
    """

    name: str
    title: str
    question: str
    data: str
    layer: int
    strength: float
    scope: str = "response"
    fit: float = 0.5
    max_new_tokens: int = 24
    n_examples: int = 6
    controls: int = 0
    fluency: bool = False
    instruction: str = ""
    with_tuned: bool = False
    strengths: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class AnswersSpec(SteeringSpec):
    """From one answer to another; ``off_target`` data must keep their accuracy.

    With ``gate = "about to say"`` the vector is added only where the model is about to say the
    source, which it knows at the last block alone; goals are then about the gated vector.
    """

    source: str = "yes"
    target: str = "no"
    off_target: list[str] = field(default_factory=list[str])
    gate: str = ""
    goal_moved: float = 0.8
    goal_loss: float = 0.03


@dataclass(frozen=True)
class StyleSpec(SteeringSpec):
    """Captions that should name something (``factor`` in the labels' ``allowed`` words).

    Where no label tells what is right, ``words`` are those of the style, and any of them will do.
    ``decide_after`` lists the words after which a caption either ends or goes on to name it: the
    state at that word is where the choice is made.
    """

    factor: str = "place"
    words: list[str] = field(default_factory=list[str])
    decide_after: list[str] = field(default_factory=list[str])
    shift_strength: float = 1.0
    goal_right: float = 0.9


@dataclass(frozen=True)
class NeutralSpec(SteeringSpec):
    """Captions whose ``gendered`` word should become its neutral one.

    ``swaps`` maps each gendered word to the neutral word that it should become; ``k`` is the number
    of concepts that the gate chooses among.
    """

    swaps: dict[str, str] = field(default_factory=dict[str, str])
    k: int = 8
    goal_neutralised: float = 0.8
    goal_unchanged: float = 0.75


@dataclass(frozen=True)
class RefusalSpec(SteeringSpec):
    """Requests labelled ``dangerous`` or not: refuse the first kind, never the second.

    ``harmless`` names further data that are all harmless, for benchmarks of dangerous ones alone.
    ``held_out`` maps a label to values that neither the gate nor the direction may see.
    The gate opens for dangerous requests that the unsteered model answers, or with
    ``gate_on = "dangerous"`` for all of them: a refusal that is pushed further may stop being one.
    """

    refusals: list[str] = field(default_factory=list[str])
    harmless: str = ""
    gate_layer: int = -1
    held_out: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    goal_refused: float = 0.8
    gate_on: str = "answered"
    goal_over_refused: float = 0.1
    goal_kept: float = 0.9


@dataclass(frozen=True)
class DiscoverSpec(SteeringSpec):
    """Which directions between concepts mean something (Khayatan et al. 2025, appendix B.3).

    ``k`` concepts of the states that emit the answer; of the ``top`` answers with the largest
    relative increase the score tells the few that gained from the rest; ``n_random`` directions are
    the null, and the best ``kept`` vectors are saved.
    """

    k: int = 6
    top: int = 5
    n_random: int = 20
    kept: int = 3


KINDS: dict[str, type[SteeringSpec]] = {
    "answers": AnswersSpec,
    "style": StyleSpec,
    "neutral": NeutralSpec,
    "refusal": RefusalSpec,
    "discover": DiscoverSpec,
}
"""Kind of a steering in the experiment file, and what it needs to know."""


GATED_ON = ("answered", "dangerous")
"""Which dangerous requests the gate of a ``refusal`` is fitted to open for."""

ANSWER_GATES = ("", "about to say")
"""Gates of the kind ``answers``; the empty one is none."""


def data_of(spec: SteeringSpec) -> list[str]:
    """Names of all data that a steering uses."""
    used = [spec.data]
    if isinstance(spec, AnswersSpec):
        used += spec.off_target
    if isinstance(spec, RefusalSpec) and spec.harmless:
        used.append(spec.harmless)
    return used


@dataclass(frozen=True)
class Experiment:
    """A whole study: a base and its fine-tune, or several fine-tunes of one base.

    ``images = false`` keeps pictures and their names out of all results.
    """

    title: str
    base: str
    tuned: str | list[TunedSpec]
    data: dict[str, DataSpec]
    words: list[WordsSpec]
    steering: list[SteeringSpec]
    subtitle: str = ""
    seed: int = 0
    batch_size: int = 32
    max_new_tokens: int = 32
    images: bool = True
    n_words: int = 15
    stop_words: list[str] = field(default_factory=list[str])

    @property
    def fine_tunes(self) -> list[TunedSpec]:
        """The fine-tunes of a study of several; empty where there is a single one."""
        return self.tuned if isinstance(self.tuned, list) else []

    @property
    def tuned_model(self) -> str:
        """The fine-tuned model of an experiment that has one.

        Raises:
            DataError: there are several.
        """
        if isinstance(self.tuned, list):
            raise DataError(
                f"the experiment has {len(self.tuned)} fine-tunes", remedy="run them one by one"
            )
        return self.tuned

    def of(self, fine_tune: TunedSpec) -> "Experiment":
        """The same experiment for one of its fine-tunes alone."""
        return replace(self, tuned=fine_tune.model)

    def to_dict(self) -> dict[str, Any]:
        """Everything that decides the results, for digests and provenance."""
        return asdict(self)


Spec = TypeVar("Spec")


def load_experiment(path: str | Path) -> Experiment:
    """Read an experiment file.

    Raises:
        DataError: the file is missing, is not TOML, or a key is unknown, missing or mistyped.
    """
    return _experiment(read_toml(path, "experiment"), Path(path).name)


def read_toml(path: str | Path, what: str) -> dict[str, Any]:
    """The tables of a file; ``what`` it is, for messages ("experiment").

    Raises:
        DataError: the file is missing, cannot be read, or is not TOML.
    """
    file = Path(path)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{what} file {path} does not exist") from error
    except OSError as error:
        raise DataError(f"{what} file {path} cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{what} file {path} is not valid TOML ({error})") from error


def _experiment(table: dict[str, Any], name: str) -> Experiment:
    data = {
        key: build(DataSpec, value, f"{name} [data.{key}]")
        for key, value in _table(table.pop("data", {}), f"{name} [data]").items()
    }
    words = [
        build(WordsSpec, value, f"{name} [[words]] {number}")
        for number, value in enumerate(_tables(table, "words", name), start=1)
    ]
    steering = [
        _steering(_table(value, f"{name} [[steering]] {number}"), f"{name} [[steering]] {number}")
        for number, value in enumerate(_tables(table, "steering", name), start=1)
    ]
    if isinstance(table.get("tuned"), list):
        table["tuned"] = [
            build(TunedSpec, value, f"{name} [[tuned]] {number}")
            for number, value in enumerate(table["tuned"], start=1)
        ]
    whole = {**table, "data": data, "words": words, "steering": steering}
    experiment = build(Experiment, whole, name)
    _check_references(experiment, name)
    _check_values(experiment, name)
    return experiment


def _steering(table: dict[str, Any], where: str) -> SteeringSpec:
    table = dict(table)
    kind = table.pop("kind", None)
    if kind not in KINDS:
        raise DataError(f"{where} has the kind {kind!r}", allowed=f"kinds: {', '.join(KINDS)}")
    return build(KINDS[kind], table, where)


def _tables(table: dict[str, Any], key: str, name: str) -> list[Any]:
    found = table.pop(key, [])
    if not isinstance(found, list):
        raise DataError(f"{name}: {key} must be a list of tables", allowed=f"[[{key}]]")
    return found


def _check_values(experiment: Experiment, name: str) -> None:
    """What would otherwise be found out after minutes of earlier stages."""
    specs = (*experiment.fine_tunes, *experiment.words, *experiment.steering)
    for part in (*experiment.data, *(spec.name for spec in specs)):
        if not re.fullmatch(r"[\w-]+", part):
            raise DataError(
                f"{name}: the name {part!r} becomes a directory", allowed="letters, digits, _ and -"
            )
    positive = {"batch_size": experiment.batch_size, "max_new_tokens": experiment.max_new_tokens}
    positive |= {f"{spec.name}: k": spec.k for spec in experiment.words}
    positive |= {f"{spec.name}: draws": spec.draws for spec in experiment.words}
    positive |= {f"{key}: n": data.n for key, data in experiment.data.items() if data.n is not None}
    for what, value in positive.items():
        if value < 1:
            raise DataError(f"{name}: {what} = {value}", allowed="a whole number from 1 up")
    if isinstance(experiment.tuned, list):
        _check_several(experiment, name)
    for spec in experiment.words:
        for key in ("explain", "heat_maps"):
            if getattr(spec, key) < 0:
                given = f"{key} = {getattr(spec, key)}"
                raise DataError(f"{name}: {spec.name}: {given}", allowed="0 or more")
        if spec.margin is not None and not 0 < spec.margin < math.inf:
            given = f"margin = {spec.margin}"
            raise DataError(f"{name}: {spec.name}: {given}", allowed="a number of spreads above 0")
        if spec.normed and spec.layer < 0 and spec.layer != -1:
            raise DataError(
                f"{name}: {spec.name}: layer = {spec.layer} with normed = true",
                allowed="the last block, -1: no other one is followed by the final norm",
            )
    for spec in experiment.steering:
        _check_steering(spec, name)


def _check_steering(spec: SteeringSpec, name: str) -> None:
    where = f"{name}: {spec.name}"
    if spec.controls < 0:
        raise DataError(f"{where}: controls = {spec.controls}", allowed="0 or more")
    if isinstance(spec, RefusalSpec) and spec.gate_on not in GATED_ON:
        given = f"gate_on = {spec.gate_on!r}"
        raise DataError(f"{where}: {given}", allowed=", ".join(map(repr, GATED_ON)))
    if isinstance(spec, AnswersSpec) and spec.gate not in ANSWER_GATES:
        raise DataError(f"{where}: unknown gate {spec.gate!r}", allowed=", ".join(ANSWER_GATES[1:]))
    if isinstance(spec, AnswersSpec) and spec.gate and spec.layer < 0 and spec.layer != -1:
        raise DataError(
            f"{where}: gate = {spec.gate!r} with layer = {spec.layer}",
            allowed="the last block, -1: before it a model does not know what it is about to say",
        )
    if isinstance(spec, DiscoverSpec) and (spec.k < 2 or spec.top < 2 or spec.n_random < 1):
        raise DataError(
            f"{where}: k = {spec.k}, top = {spec.top}, n_random = {spec.n_random}",
            allowed="k and top from 2 up, n_random from 1 up",
        )
    if isinstance(spec, DiscoverSpec) and spec.strengths:
        raise DataError(
            f"{where}: strengths with the kind 'discover'",
            allowed="one strength: every direction is asked at it",
        )
    _check_common(spec, name)


def _check_common(spec: SteeringSpec, name: str) -> None:
    if not 0 < spec.fit < 1:
        raise DataError(f"{name}: {spec.name}: fit = {spec.fit}", allowed="between 0 and 1")
    if spec.scope not in SCOPES:
        raise DataError(f"{name}: unknown scope {spec.scope!r}", allowed=", ".join(SCOPES))


def _check_several(experiment: Experiment, name: str) -> None:
    """Several fine-tunes are compared with the base and with each other; none is steered with."""
    if not experiment.fine_tunes:
        raise DataError(f"{name}: tuned is an empty list", allowed="at least one [[tuned]] table")
    if experiment.steering:
        raise DataError(
            f"{name} has several fine-tunes and [[steering]]",
            allowed="steering with one fine-tune: tuned = a path, an id or package:name",
            remedy="move [[steering]] to an experiment of its own",
        )


def _check_references(experiment: Experiment, name: str) -> None:
    """Every data set that is used must be declared, and names of parts must differ."""
    used = [spec.data for spec in experiment.words]
    for spec in experiment.steering:
        used += data_of(spec)
    missing = sorted(set(used) - set(experiment.data))
    if missing:
        raise DataError(
            f"{name} uses data that it does not declare: {', '.join(missing)}",
            allowed=f"declared: {', '.join(sorted(experiment.data)) or 'none'}",
            remedy=f"add a table [data.{missing[0]}]",
        )
    parts = (*experiment.fine_tunes, *experiment.words, *experiment.steering)
    names = [spec.name for spec in parts]
    twice = sorted({part for part in names if names.count(part) > 1})
    if twice:
        raise DataError(f"{name} gives the name {twice[0]!r} to two parts")


def build(kind: type[Spec], table: Any, where: str) -> Spec:
    """Make a dataclass from a TOML table.

    Raises:
        DataError: unknown, missing or mistyped keys; the message says where and what is allowed.
    """
    values = _table(table, where)
    known = {entry.name: entry for entry in fields(kind)}  # pyright: ignore[reportArgumentType]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise DataError(
            f"{where} has an unknown key {unknown[0]!r}", allowed=f"keys: {', '.join(known)}"
        )
    needed = [
        name
        for name, entry in known.items()
        if entry.default is MISSING and entry.default_factory is MISSING and name not in values
    ]
    if needed:
        raise DataError(f"{where} lacks the key {needed[0]!r}", allowed=f"keys: {', '.join(known)}")
    for name, value in values.items():
        if not _fits(value, known[name].type):
            raise DataError(
                f"{where}: {name} = {value!r} is not of the right type",
                allowed=f"{name}: {getattr(known[name].type, '__name__', known[name].type)}",
            )
    return kind(**values)


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where} must be a table, not {value!r}")
    return value


def _fits(value: Any, kind: Any) -> bool:
    """Whether a TOML value may stand in a field; whole numbers are welcome as floats."""
    if isinstance(kind, UnionType):
        return any(_fits(value, one) for one in get_args(kind))
    origin = get_origin(kind)
    if origin is list:
        return isinstance(value, list) and all(_fits(one, get_args(kind)[0]) for one in value)
    if origin is dict:
        inner = get_args(kind)[1]
        return isinstance(value, dict) and all(_fits(one, inner) for one in value.values())
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)
