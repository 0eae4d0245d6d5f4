"""``quality``: every figure about concepts that can be measured with what is at hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from PIL import Image

from shiftlens.concepts.concepts import Concepts, WordLists
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.concepts.quality.agreement import agreement_figure, purity_figure
from shiftlens.concepts.quality.baselines import baselines_of
from shiftlens.concepts.quality.bert_score import bert_score
from shiftlens.concepts.quality.clip_score import Wording, clip_score, picture_scores
from shiftlens.concepts.quality.coding import Dictionary, assignments, codes_of
from shiftlens.concepts.quality.figures import Figure
from shiftlens.concepts.quality.intruders import Trials, picture_intruders, word_intruders
from shiftlens.concepts.quality.judging import PictureJudge, Seen, TextEncoder, looked_at
from shiftlens.concepts.quality.overlap import overlap
from shiftlens.concepts.quality.reconstruction import reconstruction
from shiftlens.concepts.quality.sparsity import sparsity
from shiftlens.concepts.quality.stability import learner_of, stability
from shiftlens.concepts.quality.top_rows import top_rows
from shiftlens.concepts.rows import Rows, rows_of
from shiftlens.core.errors import LearnError
from shiftlens.core.progress import Progress
from shiftlens.core.shapes import Acts, Assignment

_LISTS = {"words": "words", "contrastive": "contrastive words"}


@dataclass(frozen=True)
class Quality:
    """Figures about concepts, each with its interval beside its baselines.

    Attributes:
        figures: in the order in which they were measured.
        not_measured: why a figure is missing, by its name.
    """

    figures: tuple[Figure, ...]
    not_measured: Mapping[str, str] = field(default_factory=dict[str, str])

    def __getitem__(self, name: str) -> Figure:
        """The figure of that name.

        Raises:
            LearnError: it was not measured; the message says why, and lists those that were.
        """
        for one in self.figures:
            if one.name == name:
                return one
        why = self.not_measured.get(name)
        raise LearnError(
            f"{name!r} was not measured" + (f": {why}" if why else ""),
            allowed=", ".join(one.name for one in self.figures),
        )

    def __str__(self) -> str:
        """A table of one line a figure: value, interval, and the baselines in brackets."""
        lines = [str(one) for one in self.figures]
        left = [f"{name}: not measured ({why})" for name, why in self.not_measured.items()]
        return "\n".join([*lines, *left])

    def rows(self) -> list[dict[str, Any]]:
        """A flat table, one row for each figure and baseline: see ``Figure.rows``."""
        return [row for one in self.figures for row in one.rows()]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        figures = [one.to_dict() for one in self.figures]
        return {"figures": figures, "not_measured": dict(self.not_measured)}


def quality(
    concepts: Concepts,
    acts: Acts | Rows,
    *,
    groups: Sequence[object] | None = None,
    factors: Mapping[str, Sequence[object]] | None = None,
    pictures: Sequence[Image.Image | str] | None = None,
    captions: Sequence[str | None] | None = None,
    judge: PictureJudge | None = None,
    encoder: TextEncoder | None = None,
    random_words: Sequence[WordLists] = (),
    others: Mapping[str, Concepts] | None = None,
    learner: ConceptLearner | None = None,
    n_refits: int = 5,
    wording: Wording | None = None,
    idf: bool = False,
    trials: Trials | None = None,
    seed: int = 0,
    draws: int = 1000,
    progress: Progress | None = None,
) -> Quality:
    """Measure concepts: reconstruction, sparsity, overlap, stability, words, pictures, factors.

    What cannot be measured with what is given is left out and listed with the reason. Random
    samples and random directions stand in for the concepts wherever they can; see ``baselines_of``.

    Args:
        concepts: of the rows' site; with words where words are to be measured.
        acts: (n, d) states, or rows that are read chunk by chunk; best held-out ones.
        groups: one a row; rows of one group stay together in resamples and halves. The pictures'
            paths unless given, where pictures are given by path.
        factors: known factors, by name: one value a row.
        pictures: one a row, opened or by path.
        captions: one a row; ``None`` or empty where there is none.
        judge: puts pictures and texts into one space; see ``grounding.judges.ClipJudge``.
        encoder: reads texts token by token; see ``grounding.judges.Encoder``.
        random_words: draws of word lists that nobody learned, as those of random directions.
        others: other concepts of the same site, by name, as further baselines; grounded where
            words are to be compared.
        learner: for stability; the one that the concepts name unless given.
        n_refits: refits of the learner for stability; 0 for none.
        wording: how words are put to the judge; as published unless given.
        idf: whether rare tokens weigh more in BERTScore.
        trials: how the intruder test is held.
        seed: of everything random.
        draws: resamples of each interval.
        progress: who is told of refits.

    Returns:
        each measure with its interval and its baselines, and what was not measured and why.

    Raises:
        LearnError: what is given does not fit the rows, or states are not finite.
    """
    rows = rows_of(acts)
    given: dict[str, Sequence[object] | None] = {
        "groups": groups,
        "pictures": pictures,
        "captions": captions,
        **{f"values of {name!r}": values for name, values in (factors or {}).items()},
    }
    _require_one_a_row(len(rows), given)
    _require_states(concepts, rows)
    if groups is None and pictures is not None and all(isinstance(one, str) for one in pictures):
        groups = [str(one) for one in pictures]
    return _Work(
        concepts,
        rows,
        groups,
        factors or {},
        pictures,
        captions,
        judge,
        encoder,
        random_words,
        others or {},
        learner,
        n_refits,
        wording,
        idf,
        trials or Trials(seed=seed, draws=draws),
        seed,
        draws,
        progress,
    ).measured()


def _require_one_a_row(n: int, given: Mapping[str, Sequence[object] | None]) -> None:
    if not n:
        raise LearnError("there are no rows to measure", allowed="one row or more")
    for what, one in given.items():
        if one is not None and len(one) != n:
            raise LearnError(f"{n} rows with {len(one)} {what}", allowed="one a row")


def _require_states(concepts: Concepts, rows: Rows) -> None:
    if rows.d != concepts.d:
        raise LearnError(
            f"states of width {rows.d} do not fit these concepts", allowed=f"(n, {concepts.d})"
        )
    bad = sum(int((~states.isfinite().all(dim=1)).sum()) for _, states in rows.chunks())
    if bad:
        raise LearnError(f"{bad} of {len(rows)} states are not finite", remedy="drop those rows")


@dataclass(frozen=True)
class _Work:
    """One measurement: what is measured, with what, and what several figures share."""

    concepts: Concepts
    rows: Rows
    groups: Sequence[object] | None
    factors: Mapping[str, Sequence[object]]
    pictures: Sequence[Image.Image | str] | None
    captions: Sequence[str | None] | None
    judge: PictureJudge | None
    encoder: TextEncoder | None
    random_words: Sequence[WordLists]
    others: Mapping[str, Concepts]
    learner: ConceptLearner | None
    n_refits: int
    wording: Wording | None
    idf: bool
    trials: Trials
    seed: int
    draws: int
    progress: Progress | None

    def measured(self) -> Quality:
        """Every figure, or the reason why not."""
        figures: list[Figure] = []
        missing: dict[str, str] = {}
        for name, measure in self._tasks().items():
            try:
                figures += measure()
            except LearnError as error:
                missing[name] = error.given
        return Quality(tuple(figures), missing)

    def _tasks(self) -> dict[str, Callable[[], list[Figure]]]:
        tasks: dict[str, Callable[[], list[Figure]]] = {
            "reconstruction": self._reconstruction,
            "sparsity": self._sparsity,
            "stability": self._stability,
        }
        for attribute, label in _LISTS.items():
            for name, measure in {
                "overlap": self._overlap,
                "CLIPScore": self._clip_score,
                "BERTScore": self._bert_score,
                "odd word": self._word_intruders,
            }.items():
                tasks[f"{name} of {label}"] = _bound(measure, attribute)
        tasks |= {"odd picture": self._picture_intruders, "factors": self._factors}
        return tasks

    # What several figures share.

    @cached_property
    def _random(self) -> Mapping[str, Sequence[Dictionary]]:
        return baselines_of(self.concepts, self.rows, seed=self.seed)

    @cached_property
    def _dictionaries(self) -> dict[str, list[Dictionary]]:
        random = {name: list(them) for name, them in self._random.items()}
        return {**random, **{name: [one] for name, one in self.others.items()}}

    @cached_property
    def _labels(self) -> Assignment:
        return assignments(self.concepts, self.rows)

    @cached_property
    def _other_labels(self) -> dict[str, list[Assignment]]:
        return {
            name: [assignments(one, self.rows) for one in them]
            for name, them in self._dictionaries.items()
        }

    @cached_property
    def _seen(self) -> Seen:
        if self.judge is None or self.pictures is None:
            raise LearnError("needs a judge and the pictures")
        return looked_at(self.judge, self.pictures)

    def _words(self, attribute: str) -> WordLists:
        words: WordLists = getattr(self.concepts, attribute)
        if not any(words):
            raise LearnError("the concepts have no such words: ground them first")
        return words

    def _worded(self, attribute: str) -> dict[str, Any]:
        """Assignments and words of the other concepts that have some."""
        return {
            name: [(assignments(one, self.rows), getattr(one, attribute))]
            for name, one in self.others.items()
            if any(getattr(one, attribute))
        }

    # The figures.

    def _reconstruction(self) -> list[Figure]:
        options: Any = {"groups": self.groups, "seed": self.seed, "draws": self.draws}
        return [reconstruction(self.concepts, self.rows, baselines=self._dictionaries, **options)]

    def _sparsity(self) -> list[Figure]:
        others = {
            name: [codes_of(one, self.rows) for one in them]
            for name, them in self._dictionaries.items()
        }
        options: Any = {"groups": self.groups, "seed": self.seed, "draws": self.draws}
        return sparsity(codes_of(self.concepts, self.rows), baselines=others, **options)

    def _stability(self) -> list[Figure]:
        learner = self.learner or learner_of(self.concepts)
        if not self.n_refits:
            raise LearnError("no refits were asked for")
        if learner is None:
            raise LearnError("needs the learner: the concepts name none that is known")
        return stability(
            learner,
            self.rows,
            like=self.concepts,
            groups=self.groups,
            n_refits=self.n_refits,
            seed=self.seed,
            progress=self.progress,
        )

    def _overlap(self, attribute: str) -> list[Figure]:
        words = self._words(attribute)
        others = {name: [them[0][1]] for name, them in self._worded(attribute).items()}
        lists = {"random words": list(self.random_words), **others}
        # Between fewer than two concepts with words there is none.
        several = {k: [one for one in v if sum(map(bool, one)) > 1] for k, v in lists.items()}
        baselines = {name: them for name, them in several.items() if them}
        options: Any = {"seed": self.seed, "draws": self.draws}
        return [
            overlap(words, name=f"overlap of {_LISTS[attribute]}", baselines=baselines, **options)
        ]

    def _clip_score(self, attribute: str) -> list[Figure]:
        words, seen, judge = self._words(attribute), self._seen, self.judge
        assert judge is not None  # otherwise nothing was seen
        return [
            clip_score(
                judge,
                seen,
                self._labels,
                words,
                name=f"CLIPScore of {_LISTS[attribute]}",
                wording=self.wording,
                random_words=self.random_words,
                captions=self.captions,
                baselines=self._worded(attribute),
                groups=self.groups,
                seed=self.seed,
                draws=self.draws,
            )
        ]

    def _bert_score(self, attribute: str) -> list[Figure]:
        words, captions, encoder = self._words(attribute), self.captions, self.encoder
        if encoder is None or captions is None or not any(captions):
            raise LearnError("needs an encoder and captions")
        return bert_score(
            encoder,
            words,
            self._labels,
            captions,
            name=f"BERTScore of {_LISTS[attribute]}",
            idf=self.idf,
            random_words=self.random_words,
            baselines=self._worded(attribute),
            groups=self.groups,
            seed=self.seed,
            draws=self.draws,
        )

    def _word_intruders(self, attribute: str) -> list[Figure]:
        words, judge = self._words(attribute), self.judge
        if judge is None:
            raise LearnError("needs a judge")
        others = {name: [them[0][1]] for name, them in self._worded(attribute).items()}
        random = list(self.random_words)
        baselines = {**({"random words": random} if random else {}), **others}
        name = f"odd one of {_LISTS[attribute]} found"
        return [word_intruders(judge, words, name=name, baselines=baselines, trials=self.trials)]

    def _picture_intruders(self) -> list[Figure]:
        seen, n = self._seen, self.trials.n_shown
        keys = list(range(len(self.rows)) if self.groups is None else self.groups)
        tops = top_rows(self.concepts, self.rows, n=n, pictures=keys)
        others = {
            name: [top_rows(one, self.rows, n=n, pictures=keys) for one in them]
            for name, them in self._dictionaries.items()
        }
        options: Any = {"pictures": keys, "trials": self.trials}
        found = [picture_intruders(seen, tops, baselines=others, **options)]
        judge = self.judge
        if any(self.concepts.words) and judge is not None:
            wording = self.wording or Wording()
            scores = picture_scores(judge, seen, self.concepts.words, wording)
            found.append(picture_intruders(seen, tops, scores=scores, **options))
        return found

    def _factors(self) -> list[Figure]:
        if not self.factors:
            raise LearnError("needs known factors")
        found: list[Figure] = []
        options: Any = {"groups": self.groups, "seed": self.seed}
        for name, values in self.factors.items():
            for measure in (agreement_figure, purity_figure):
                baselines = self._other_labels
                found.append(
                    measure(self._labels, values, name=name, baselines=baselines, **options)
                )
        return found


def _bound(measure: Callable[[str], list[Figure]], attribute: str) -> Callable[[], list[Figure]]:
    return lambda: measure(attribute)
