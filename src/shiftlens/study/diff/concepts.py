"""The concepts of a diff: learned on the estimation third, judged on the judging third."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore, paired
from shiftlens.activations.survey import Answers, Survey
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.ground import ground
from shiftlens.concepts.grounding.whole_words import Lexicon
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learners.learner import Learned
from shiftlens.concepts.learning import learn
from shiftlens.core.errors import LearnError
from shiftlens.core.progress import Progress
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model
from shiftlens.reporting.numbers import clean
from shiftlens.shift.choosing import Choice, k_by_refits
from shiftlens.shift.concept_shift import ConceptShift
from shiftlens.shift.drift import drift
from shiftlens.shift.effects import group_numbers
from shiftlens.shift.flow import flow
from shiftlens.shift.kinds import Kinds, kinds
from shiftlens.shift.margins import Margins
from shiftlens.shift.matching import bijective, nearest, similarity
from shiftlens.shift.parts import Parts
from shiftlens.shift.refining import DOUBLED, rise_of, topic_rise
from shiftlens.shift.refits import Split
from shiftlens.shift.sameness import sameness
from shiftlens.shift.text_and_weights import shares
from shiftlens.shift.vectors import consistency, shift_vectors
from shiftlens.shift.verdicts import Verdicts, judge, measured
from shiftlens.study.diff.describing import Found, describe
from shiftlens.study.diff.settings import DiffSettings
from shiftlens.study.diff.visible import Visible, look
from shiftlens.study.diff.where import where_it_sits

Harvest = Callable[..., list[ActivationStore]]


@dataclass(frozen=True)
class Examined:
    """The concepts of a diff: the artefact, and their part of diff.json."""

    shift: ConceptShift
    document: dict[str, Any]


@dataclass(frozen=True)
class _Sides:
    """Paired states at the judged layer, with the rows of each part."""

    base: ActivationStore
    tuned: ActivationStore
    parts: Parts
    layer: int

    def groups(self, rows: np.ndarray) -> list[str]:
        every = self.base.rows
        return [every[i].image or every[i].sample_id for i in rows.tolist()]

    def split(self, other: ActivationStore) -> Split:
        """Base states of both judged parts, with the changes to another model's states."""
        before = self.base.states(self.layer).float()
        delta = other.states(self.layer).float() - before
        pieces: list[Any] = []
        for rows in (self.parts.estimation, self.parts.judging):
            index = torch.from_numpy(rows)
            pieces += [before[index], delta[index], group_numbers(self.groups(rows))[0]]
        return Split(*pieces)


def examine(
    models: Sequence[Model],
    site: Site,
    at: Harvest,
    asked: Survey,
    samples: Samples,
    parts: Parts,
    options: DiffSettings,
    progress: Progress,
) -> Examined:
    """Harvest at the site, learn, judge, and look for visible effects.

    Args:
        models: base, tuned, then placebos.
        site: the judged layer first, then the other harvested ones.
        at: harvests models at a site, on the base's text or on their own.
        asked: both models' answers.
        samples: the samples that could be read.
        parts: row indices of the survey's three parts.
        options: of the diff.
        progress: who is told.

    Raises:
        LearnError: too few samples have the site's word.
    """
    base, tuned = models[:2]
    stores = at(models, site, "base-text")
    own = at([tuned], site, "own-text", own=True)[0]
    sides = _sides(stores[0], stores[1], asked.rows, parts, site.layers[0])
    choice = _choose(sides, options)
    learner = KMeans(k=choice.k, seed=options.seed)
    split = sides.split(stores[1])
    shift, learned = _learned(sides, learner, (base, tuned), own, options)
    margins = _margins(sides, learned[0], stores, options)
    judged = judge(
        split, learner, learned[0], margins, seed=options.seed, draws=options.draws,
        progress=progress,
    )  # fmt: skip
    told = kinds(
        split, learner, *learned, seed=options.seed, draws=options.kind_draws, progress=progress
    )
    same = sameness(
        split, learner, learned[0], seed=options.seed, draws=options.kind_draws, progress=progress
    )
    found = Found(
        shift=shift,
        judged=judged,
        kinds=told,
        same=same,
        margins=margins,
        choice=choice,
        visible=_visible(sides, learned[0], judged, shift, asked, samples, tuned, options),
        refined=_refined(sides, learned[0], told, (base, tuned), options),
    )
    document = {
        "site": _where(site, stores[0], own),
        **describe(found, {sample.id: sample for sample in samples}),
        "weights_or_words": _shares(stores, own, shift, site.layers[0]),
        "by_layer": clean(_by_layer(sides, sides.tuned, learned[0])),
        "where": where_it_sits(
            (base, tuned),
            (sides.base, sides.tuned),
            sides.parts,
            sides.layer,
            learned[0],
            at,
            seed=options.seed,
        ),
    }
    return Examined(shift, document)


def _sides(
    base: ActivationStore,
    tuned: ActivationStore,
    rows: Sequence[Answers],
    parts: Parts,
    layer: int,
) -> _Sides:
    a, b = paired(base, tuned)
    named = [[rows[i].sample_id for i in part.tolist()] for part in
             (parts.selection, parts.estimation, parts.judging)]  # fmt: skip
    ids = np.asarray(a.sample_ids)
    return _Sides(a, b, Parts(*(np.flatnonzero(np.isin(ids, one)) for one in named)), layer)


def _choose(sides: _Sides, options: DiffSettings) -> Choice:
    """K on the selection third, unless it was named; enough rows in both other parts."""
    rows = torch.from_numpy(sides.parts.selection)
    learner = KMeans(k=2, seed=options.seed)
    if options.k is not None:
        choice = Choice(options.k, {})
    else:
        choice = k_by_refits(sides.base.states(sides.layer)[rows], learner, seed=options.seed)
    for name in ("estimation", "judging"):
        n = len(getattr(sides.parts, name))
        if n < 2 * choice.k:
            raise LearnError(
                f"{n} states of the {name} third are too few for {choice.k} concepts",
                allowed=f"at least {2 * choice.k}",
                remedy="give more samples, another word, or a smaller k",
            )
    return choice


def _learned(
    sides: _Sides,
    learner: KMeans,
    models: Sequence[Model],
    own: ActivationStore,
    options: DiffSettings,
) -> tuple[ConceptShift, tuple[Learned, Learned]]:
    """Concepts of both models from the estimation third, grounded, and what lies between them."""
    rows = sides.parts.estimation.tolist()
    grounded: list[Concepts] = []
    bare: list[Learned] = []
    lexicon = _lexicon(sides)
    for store, model in zip((sides.base, sides.tuned), models, strict=True):
        part = store.at_rows(rows)
        concepts = learn(part, learner, layer=sides.layer)
        bare.append(concepts.learned)
        grounded.append(
            ground(
                concepts,
                part,
                model.readout,
                n_words=options.n_words,
                stop_words=options.stop_words,
                lexicon=lexicon,
            )
        )
    a, b = (s.at_rows(rows).states(sides.layer) for s in (sides.base, sides.tuned))
    return _shift(sides, grounded, bare, (a, b), own, models[1], options), (bare[0], bare[1])


def _lexicon(sides: _Sides) -> Lexicon:
    """One lexicon for all lists that are compared: the two models need not say the same words."""
    return Lexicon.of([*sides.base.responses.values(), *sides.tuned.responses.values()])


def _shift(
    sides: _Sides,
    grounded: Sequence[Concepts],
    bare: Sequence[Learned],
    states: tuple[torch.Tensor, torch.Tensor],
    own: ActivationStore,
    tuned: Model,
    options: DiffSettings,
) -> ConceptShift:
    from shiftlens.concepts.grounding.words import state_scores, top_words

    before, after = grounded
    labels = bare[0].assign(states[0])
    vectors = shift_vectors(*states, labels, before.k)
    alone, inclusive = consistency(*states, labels, before.k)
    partners = bijective(before.vectors, after.vectors)
    table = similarity(before.vectors, after.vectors)
    shifted = state_scores(tuned.readout, before.vectors + vectors)
    return ConceptShift(
        base=before,
        tuned=after,
        vectors=vectors,
        nearest=tuple(nearest(before.vectors, after.vectors)),
        bijective=tuple(partners),
        cosine=tuple(float(table[i, j]) for i, j in enumerate(partners)),
        consistency=tuple(alone.tolist()),
        consistency_published=tuple(inclusive.tolist()),
        shifted_words=top_words(
            tuned.readout,
            shifted,
            n=options.n_words,
            stop_words=options.stop_words,
            lexicon=_lexicon(sides),
        ),
        lost=_lost(sides, bare[0], own),
        state_norm=float(states[0].float().norm(dim=1).mean()),
        rows={"base": len(sides.base), "tuned": len(own), "paired": len(sides.base)},
        recovery={},
        published={},
        flow=flow(labels, bare[1].assign(states[1]), before.k, after.k).to_dict(),
        labels=dict(zip(sides.base.at_rows(sides.parts.estimation.tolist()).sample_ids,
                        labels.tolist(), strict=True)),
    )  # fmt: skip


def _lost(sides: _Sides, learned: Learned, own: ActivationStore) -> tuple[float, ...]:
    """For each concept the share of all its rows that the tuned model's own text has not."""
    kept, k = set(own.sample_ids), len(learned.vectors)
    labels = learned.assign(sides.base.states(sides.layer))
    missing = torch.tensor([float(one not in kept) for one in sides.base.sample_ids])
    sums = torch.zeros(k).index_add_(0, labels, missing)
    return tuple((sums / torch.bincount(labels, minlength=k).clamp_min(1)).tolist())


def _margins(
    sides: _Sides,
    learned: Learned,
    stores: Sequence[ActivationStore],
    options: DiffSettings,
) -> Margins:
    """From placebos where there are any, otherwise the one that the user named."""
    if stores[2:]:
        others = [paired(sides.base, store)[1] for store in stores[2:]]
        return Margins.from_placebos([measured(sides.split(one), learned) for one in others])
    if options.margin is not None:
        return Margins.named(options.margin)
    return Margins.none()


def _visible(
    sides: _Sides,
    learned: Learned,
    judged: Verdicts,
    shift: ConceptShift,
    asked: Survey,
    samples: Samples,
    tuned: Model,
    options: DiffSettings,
) -> dict[int, Visible]:
    """Effects of the concepts that surely moved most; counts for all others too."""
    by_id: dict[str, Sample] = {sample.id: sample for sample in samples}
    rows = {row.sample_id: row for row in asked.rows}
    judging = sides.base.at_rows(sides.parts.judging.tolist())
    labels = learned.assign(judging.states(sides.layer)).tolist()
    owner = dict(zip(judging.sample_ids, labels, strict=True))
    tried = _most_moved(judged)[: options.n_examined]
    found: dict[int, Visible] = {}
    for index in range(len(learned.vectors)):
        inside = [(by_id[one], rows[one]) for one, label in owner.items() if label == index]
        outside = [rows[one] for one, label in owner.items() if label != index]
        vector = shift[index].vector if index in tried else None
        found[index] = look(
            tuned,
            inside,
            outside,
            vector,
            n_restored=options.n_restored,
            max_new_tokens=options.max_new_tokens,
            batch_size=options.batch_size,
            seed=options.seed,
        )
    return found


def _most_moved(judged: Verdicts) -> list[int]:
    """Concepts that are not stable, those with the largest sure effect first."""
    lows = [(one["moved"].low, index) for index, one in enumerate(judged.concepts)
            if one["moved"].verdict != "stable" and one["moved"].low > 0]  # fmt: skip
    return [index for _, index in sorted(lows, reverse=True)]


def _refined(
    sides: _Sides,
    learned: Learned,
    told: Kinds,
    models: tuple[Model, Model],
    options: DiffSettings,
) -> dict[int, dict[str, Any]]:
    """For each concept how far it leans towards the topic, where the user named one."""
    if not options.topic:
        return {}
    rows = sides.parts.judging
    a, b = (s.at_rows(rows.tolist()).states(sides.layer) for s in (sides.base, sides.tuned))
    rises = topic_rise(a, b, (models[0].readout, models[1].readout), options.topic)
    labels, groups = learned.assign(a), sides.groups(rows)
    found: dict[int, dict[str, Any]] = {}
    for index in range(len(learned.vectors)):
        mine = torch.nonzero(labels == index).flatten().tolist()
        if mine:
            rise = rise_of(rises[mine], [groups[i] for i in mine], seed=options.seed)
            refined = told.base[index].kind == "kept" and rise.low > DOUBLED
            found[index] = {"rise": rise.to_dict(), "refined": refined}
    return found


def _shares(
    stores: Sequence[ActivationStore], own: ActivationStore, shift: ConceptShift, layer: int
) -> dict[str, float] | None:
    """Parts of the squared shift on own text that are due to weights and to text."""
    if not {*stores[0].sample_ids} & {*own.sample_ids}:
        return None
    a, mine = paired(stores[0], own)
    _, forced = paired(a, stores[1])
    states = a.states(layer)
    parts = (states, forced.states(layer), mine.states(layer))
    return shares(*parts, shift.base.assign(states), shift.base.k).to_dict()


def _by_layer(sides: _Sides, tuned: ActivationStore, learned: Learned) -> list[dict[str, Any]]:
    """Drift at every harvested layer for the concepts of the judged one; exploratory."""
    judging = torch.from_numpy(sides.parts.judging)
    labels = learned.assign(sides.base.states(sides.layer)[judging])
    found: list[dict[str, Any]] = []
    for layer in sorted(sides.base.layers):
        there = _Sides(sides.base, sides.tuned, sides.parts, layer)
        moved = drift(there.split(tuned), labels, len(learned.vectors))
        found.append({"layer": layer, **moved.to_dict()})
    return found


def _where(site: Site, store: ActivationStore, own: ActivationStore) -> dict[str, Any]:
    return {
        "layer": site.layers[0],
        "layers": sorted(site.layers),
        "tokens": site.tokens.describe(),
        "rows": store.counts,
        "rows_own_text": own.counts,
    }
