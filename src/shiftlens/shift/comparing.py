"""``compare``: two stores of the same samples, one question: what did fine-tuning do?"""

from collections.abc import Collection, Mapping
from typing import Any

import torch

from shiftlens.activations.store import ActivationStore, paired
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.ground import ground
from shiftlens.concepts.grounding.whole_words import Lexicon
from shiftlens.concepts.grounding.words import reading, state_scores, top_words
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.concepts.learning import learn
from shiftlens.core.errors import LearnError, MismatchError
from shiftlens.core.progress import Progress
from shiftlens.core.shapes import Acts
from shiftlens.models.claims import is_unknown
from shiftlens.models.readout import Readout
from shiftlens.shift.concept_shift import ConceptShift
from shiftlens.shift.flow import flow
from shiftlens.shift.matching import bijective, nearest, similarity
from shiftlens.shift.published import recover_published
from shiftlens.shift.recovery import fewest_samples, recover
from shiftlens.shift.states_only import require_states
from shiftlens.shift.text_and_weights import shares, shares_by_concept
from shiftlens.shift.vectors import consistency, differences, shift_vectors, spectrum

_SharesJson = tuple[dict[str, float], list[dict[str, float] | None]]


def compare(
    base: ActivationStore,
    tuned: ActivationStore,
    learner: ConceptLearner,
    *,
    readouts: tuple[Readout, Readout],
    on_base_text: ActivationStore | None = None,
    layer: int | None = None,
    n_words: int = 15,
    n_images: int = 5,
    stop_words: Collection[str] = (),
    seed: int = 0,
    draws: int = 200,
    progress: Progress | None = None,
) -> ConceptShift:
    """Concepts of both models, their matching, shift vectors and how much they recover.

    Args:
        base: the base model's states, on its own text.
        tuned: the tuned model's states, on its own text.
        learner: learns the concepts on both sides.
        readouts: heads of the base and of the tuned model; each reads its own concepts, and the
            tuned one reads shifted concepts. States behind the final norm are not normed again.
        on_base_text: the tuned model's states on the base's text. Where it is given, concepts,
            vectors and recovery come from it, so that the weights are compared and not the words;
            the own-text recovery then stands beside it.
        layer: which of the stores' layers; may be left out when there is one.
        n_words: words a concept.
        n_images: images a concept.
        stop_words: never listed.
        seed: of cuts and controls.
        draws: refits behind every interval.
        progress: who is told.

    Returns:
        both models' concepts, a change for each concept of the base, and the recovery.

    Raises:
        MismatchError: stores of different samples, sites or base models.
        LearnError: too few rows for the learner.
    """
    require_states(learner)
    for other in (tuned, on_base_text):
        if other is not None:
            _require_pair(base, other)
    _require_texts(base, tuned, on_base_text)
    main_base, main_tuned = paired(base, tuned if on_base_text is None else on_base_text)
    _require_enough(main_base, learner)
    readouts = (reading(readouts[0], base.site), reading(readouts[1], base.site))
    options: dict[str, Any] = {"n_words": n_words, "stop_words": stop_words}
    grounding: dict[str, Any] = {**options, "n_images": n_images}
    widths = [store.states(layer).shape[1] for store in (main_base, main_tuned)]
    if widths[0] != widths[1]:
        raise MismatchError(
            f"the states are {widths[0]} wide in one model and {widths[1]} in the other",
            remedy="compare a model with its own fine-tune",
        )
    # One lexicon for all lists that are compared: the two models need not say the same words.
    lexicon = Lexicon.of([*main_base.responses.values(), *main_tuned.responses.values()])
    grounding["lexicon"] = lexicon
    before = ground(learn(main_base, learner, layer=layer), main_base, readouts[0], **grounding)
    after = ground(learn(main_tuned, learner, layer=layer), main_tuned, readouts[1], **grounding)
    a, b = main_base.states(layer), main_tuned.states(layer)
    labels = before.assign(a)
    vectors = shift_vectors(a, b, labels, before.k)
    alone, inclusive = consistency(a, b, labels, before.k)
    partners = bijective(before.vectors, after.vectors)
    recovered = recover(
        a, b, _groups(main_base), learner, seed=seed, draws=draws, progress=progress
    )
    published = recover_published(
        a, b, _groups(main_base), learner, readouts[1], seed=seed, **options
    )
    own: dict[str, Any] | None = None
    if on_base_text is not None and _enough(base, tuned, learner):
        own = _own_text(base, tuned, learner, readouts[1], layer, seed, draws // 4, options)
    parts: _SharesJson | None = None
    if on_base_text is not None and _shared(base, tuned):
        parts = _shares(base, on_base_text, tuned, before, layer)
    return ConceptShift(
        base=before,
        tuned=after,
        vectors=vectors,
        nearest=tuple(nearest(before.vectors, after.vectors)),
        bijective=tuple(partners),
        cosine=_diagonal(before, after, partners),
        consistency=tuple(alone.tolist()),
        consistency_published=tuple(inclusive.tolist()),
        shifted_words=top_words(
            readouts[1],
            state_scores(readouts[1], before.vectors + vectors),
            **_words(options),
            lexicon=lexicon,
        ),
        lost=_lost(base, tuned, before.assign(base.states(layer)), before.k),
        state_norm=float(a.float().norm(dim=1).mean()),
        rows={"base": len(base), "tuned": len(tuned), "paired": len(main_base)},
        recovery=recovered.to_dict(),
        published=published.to_dict(),
        recovery_own_text=own,
        shares=None if parts is None else parts[0],
        concept_shares=None if parts is None else parts[1],
        flow=flow(labels, after.assign(b), before.k, after.k).to_dict(),
        labels=dict(zip(main_base.sample_ids, labels.tolist(), strict=True)),
        spectrum={
            "whole": spectrum(vectors).to_dict(),
            "own": spectrum(vectors - differences(a, b).mean(dim=0)).to_dict(),
        },
    )


def _words(options: dict[str, Any]) -> dict[str, Any]:
    return {"n": options["n_words"], "stop_words": options["stop_words"]}


def _require_pair(base: ActivationStore, other: ActivationStore) -> None:
    for name, mine, theirs in (
        ("site", base.site.describe(), other.site.describe()),
        ("data", base.provenance.get("data"), other.provenance.get("data")),
    ):
        if mine != theirs:
            raise MismatchError(
                f"the stores differ in their {name}: {mine} and {theirs}",
                remedy="harvest both models on the same samples at the same site",
            )


def _require_enough(base: ActivationStore, learner: ConceptLearner) -> None:
    """Enough common samples for halves, said before anything is learned."""
    common, needed = len(set(_groups(base))), fewest_samples(learner)
    if common < needed:
        raise LearnError(
            f"both models have states of {common} common pictures only",
            allowed=f"at least {needed} for {learner.k} concepts",
            remedy="harvest more samples that say the word, or choose a smaller k",
        )


def _require_texts(
    base: ActivationStore, tuned: ActivationStore, on_base_text: ActivationStore | None
) -> None:
    """Each store must be what its place says: another base, or swapped texts, would go unseen."""
    for name, other in (("tuned", tuned), ("on_base_text", on_base_text)):
        if other is None:
            continue
        text = other.provenance.get("text")
        wrong = text == "own" if name == "on_base_text" else isinstance(text, Mapping)
        if wrong:
            held = "its own" if text == "own" else "another model's"
            raise MismatchError(
                f"the store given as {name} holds states on {held} text",
                allowed="tuned: the tuned model's own text; on_base_text: the base's text",
            )
        mine, theirs = (store.provenance.get("model", {}) for store in (base, other))
        if "architecture" in mine and mine == theirs:
            raise MismatchError(
                f"the base and the store given as {name} hold the same model twice",
                remedy="give the fine-tuned model's store, or compare_datasets for two data sets",
            )
        told = not (is_unknown(mine) or is_unknown(theirs))
        if told and mine.get("tokenizer") != theirs.get("tokenizer"):
            raise MismatchError(
                f"the base and the store given as {name} come from models with other tokenizers",
                allowed="two models that read and write the same tokens",
                remedy="compare a model with its own fine-tune",
            )
        swapped = mine.get("adapter_weights") is not None and theirs.get("adapter_weights") is None
        # An adapted base beside a merged model is a pair: the weights of the files differ there.
        if swapped and mine.get("weights") == theirs.get("weights"):
            raise MismatchError(
                f"base and {name} are swapped: the first holds an adapter's states",
                remedy="give the original model's store first",
            )
        adapted = theirs.get("adapter_weights") is not None
        if adapted and mine.get("weights") != theirs.get("weights"):
            raise MismatchError(
                "the adapter's states come from another base model than the base's states",
                remedy="harvest both with load_pair(base, adapter)",
            )


def _shared(base: ActivationStore, tuned: ActivationStore) -> int:
    """How many of the base's samples the tuned store holds too."""
    return len({*base.sample_ids} & {*tuned.sample_ids})


def _enough(base: ActivationStore, tuned: ActivationStore, learner: ConceptLearner) -> bool:
    """Whether the own texts share enough rows to be judged on halves."""
    kept = {*tuned.sample_ids}
    pairs = zip(base.sample_ids, _groups(base), strict=True)
    return len({group for one, group in pairs if one in kept}) >= fewest_samples(learner)


def _groups(store: ActivationStore) -> list[str]:
    """What must not be torn apart by a cut: rows of one picture, or of one sample without any."""
    return [row.image or row.sample_id for row in store.rows]


def _diagonal(before: Concepts, after: Concepts, partners: list[int]) -> tuple[float, ...]:
    table = similarity(before.vectors, after.vectors)
    return tuple(float(table[i, j]) for i, j in enumerate(partners))


def _own_text(
    base: ActivationStore,
    tuned: ActivationStore,
    learner: ConceptLearner,
    readout: Readout,
    layer: int | None,
    seed: int,
    draws: int,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Both recoveries on each model's own text; fewer refits, because it is not the headline."""
    a, b = paired(base, tuned)
    states = (a.states(layer), b.states(layer), _groups(a), learner)
    judged = recover(*states, seed=seed, draws=max(20, draws)).to_dict()
    published = recover_published(*states, readout, seed=seed, **options).to_dict()
    return {**judged, "published": published}


def _lost(
    base: ActivationStore, tuned: ActivationStore, labels: Acts | torch.Tensor, k: int
) -> tuple[float, ...]:
    kept = set(tuned.sample_ids)
    missing = torch.tensor([float(i not in kept) for i in base.sample_ids])
    counts = torch.bincount(labels, minlength=k)
    sums = torch.zeros(k).index_add_(0, labels, missing)
    return tuple((sums / counts.clamp_min(1)).tolist())


def _shares(
    base: ActivationStore,
    on_base_text: ActivationStore,
    tuned: ActivationStore,
    concepts: Concepts,
    layer: int | None,
) -> _SharesJson:
    """Weights and text in the whole shift, and in that of each concept."""
    a, own = paired(base, tuned)
    _, forced = paired(a, on_base_text)
    states = a.states(layer)
    parts = (states, forced.states(layer), own.states(layer), concepts.assign(states), concepts.k)
    apart = [one if one is None else one.to_dict() for one in shares_by_concept(*parts)]
    return shares(*parts).to_dict(), apart
