"""``explain``: one picture, one prompt; which concepts are active at which word of the answer."""

import tempfile
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from shiftlens.activations.capture import Caught, as_response, catch_given, catch_own
from shiftlens.activations.selections.selection import Said
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.tokens import response as response_tokens
from shiftlens.activations.words.folding import fold
from shiftlens.activations.words.occurrences import Occurrence
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.given import concepts_given, store_given
from shiftlens.concepts.grounding.explaining.activity import Ranges, activations, activities
from shiftlens.concepts.grounding.explaining.explanation import (
    ConceptSeen,
    Explanation,
    WordSeen,
    no_such_word,
    note_of,
)
from shiftlens.concepts.grounding.explaining.fitting import (
    require_grounded,
    require_kinds,
    require_model,
    require_store,
)
from shiftlens.concepts.grounding.explaining.mapping import (
    Drawing,
    draw,
    mapped,
)
from shiftlens.concepts.grounding.explaining.saying import (
    Sites,
    alignment_of,
    is_cut,
    position_of,
    said_of,
    words_of,
)
from shiftlens.core.errors import DataError, GroundingError
from shiftlens.data.privacy import HiddenSample, is_hidden, path_of
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Turn

if TYPE_CHECKING:
    from PIL.Image import Image

_CUT = "perhaps cut off by the token limit"


def explain(
    model: Model,
    image: "str | Path | Image | Sample | None",
    prompt: str | None,
    concepts: Concepts | str | Path,
    *,
    response: str | Response | None = None,
    store: ActivationStore | str | Path | None = None,
    samples: Samples | None = None,
    words: Collection[str] = (),
    n_concepts: int = 3,
    n_words: int = 5,
    n_images: int = 5,
    n_maps: int = 4,
    method: str = "occlusion",
    check: bool = True,
    max_new_tokens: int = 64,
) -> Explanation:
    """Say which concepts are active at which word of the model's answer.

    The model answers once (or is given an answer), and the state of every word is taken at the
    concepts' layer under the concepts' own alignment: before the word where they were learned from
    states that emit a word, at its last token where they were learned from states that have read
    it. Concepts were learned at certain states only, for example before the word "person"; every
    word says whether its state is one of those.

    Args:
        model: the one that the concepts were learned on.
        image: a path, an open picture, a sample, or ``None`` for text only.
        prompt: what is asked; ``None`` for a sample's own.
        concepts: grounded concepts of one layer of the language model, or the path that they were
            saved under.
        response: the answer that the model is given, token by token, in place of its own.
        store: states of the concepts' site, or the path of their directory, to measure activity
            against; best of samples that the concepts did not learn from. Without it concepts are
            ranked, and none is called active.
        samples: where the pictures of the concepts' most activating samples lie; those of the
            store are known.
        words: words of the answer whose most active concepts get heat maps; by default those at
            the concepts' site, or all where there are none.
        n_concepts: concepts that are named at each word, at most.
        n_words: words that are named of each list of a concept.
        n_images: most activating samples that are named of each concept.
        n_maps: concepts that get heat maps, at most; 0 for none.
        method: how heat maps are made. ``occlusion`` says how much of the concept is lost at its
            site without a place, at the price of up to 100 readings a picture; ``projection``
            (``cosine``, ``readout``) says in one reading what the picture's tokens carry, which
            need not be what stands there.
        check: hide the hottest patches of every map, and as many random ones: what is lost where
            the concepts' site is. The model reads the same answer 22 times more for each map.
        max_new_tokens: where the model's own answer is cut off.

    Returns:
        the words in order, each with its most active concepts; see ``Explanation``.

    Raises:
        MismatchError: concepts, model and store do not belong together; the field is named.
        GroundingError: the concepts have no words, a chosen word is not said, or an argument is
            of another kind.
        DataError: the picture cannot be read, or nothing was said.
        SiteError: the model has no such layer.
        StoreError: no concepts or no store lie at the path.
    """
    require_kinds(model, image, prompt, samples)
    concepts, words = concepts_given(concepts), (words,) if isinstance(words, str) else words
    store = None if store is None else store_given(store)
    _check(n_concepts, n_words, n_images, n_maps)
    notes = require_model(concepts, model)
    require_grounded(concepts)
    if store is not None:
        require_store(concepts, store)
    site = concepts.site.resolve(model)
    with _as_sample(image, prompt) as sample:
        hidden = isinstance(sample, HiddenSample)
        how = Drawing(method, check, 0 if hidden else n_maps)  # a heat map shows its picture
        turn = Turn.of(sample)
        caught = _caught(model, turn, site, response, max_new_tokens)
        said = said_of(model, caught.responses[0])
        found = words_of(said, site.tokens)
        _require_words(found, said, words)
        ranges = None if store is None else Ranges.of(concepts, store)
        states = next(iter(caught.states.values()))[0].float().cpu()
        scores, seen = _words(concepts, found, said, states, ranges, n_concepts)
        answer = caught.responses[0]
        drawn = draw(model, concepts, sample, answer, mapped(seen, words), how)
    return Explanation(
        model=f"{model.name} + {model.adapter}" if model.adapter_on else model.name,
        prompt=sample.prompt,
        response=said.text,
        truncated=said.truncated,
        site=site,
        learner=str(concepts.learner.get("name", "")),
        words=tuple(seen),
        concepts=_named(concepts, seen, _paths(store, samples), n_words, n_images),
        activations=scores,
        calibration=None if ranges is None else {"rows": ranges.rows, "held_out": ranges.held_out},
        heat_maps=drawn.maps,
        occlusions=drawn.checks,
        pictures=() if hidden else turn.images,
        notes=(*notes, *drawn.notes),
    )


def _check(n_concepts: int, n_words: int, n_images: int, n_maps: int) -> None:
    least = {"n_concepts": (n_concepts, 1), "n_words": (n_words, 1), "n_images": (n_images, 0)}
    for name, (value, low) in (least | {"n_maps": (n_maps, 0)}).items():
        if value < low:
            raise GroundingError(f"{name} is {value}", allowed=f"from {low} up")


@contextmanager
def _as_sample(
    image: "str | Path | Image | Sample | None", prompt: str | None
) -> Generator[Sample]:
    """What is asked as a sample; an open picture is kept in a file for as long as it takes."""
    if isinstance(image, Sample):
        yield image if prompt is None else replace(image, prompt=prompt)
        return
    if prompt is None:
        raise DataError("nothing is asked", allowed="a prompt, or a sample with its own")
    if image is None or isinstance(image, str | Path):
        yield Sample("picture", prompt, () if image is None else (str(image),))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        upright = image.convert("RGB")
        upright.info = {}  # as it is: nothing that would turn it when it is opened again
        upright.save(path)
        yield Sample("picture", prompt, (str(path),))


def _caught(
    model: Model, turn: Turn, site: Site, response: str | Response | None, max_new_tokens: int
) -> Caught:
    """The answer and the states along it, in one pass."""
    along = replace(site, tokens=response_tokens(alignment=alignment_of(site.tokens)))
    if response is None:
        return catch_own(model, [turn], along, max_new_tokens)
    given = as_response(model, response) if isinstance(response, str) else response
    return catch_given(model, [turn], along, [given])


def _require_words(found: Sequence[Occurrence], said: Said, chosen: Collection[str]) -> None:
    if not found:
        raise DataError(
            f"the answer holds no words: {said.text!r}",
            allowed="an answer of at least one word",
            remedy="ask otherwise, allow more new tokens, or give a response",
        )
    known = {fold(one.word).text for one in found}
    for text in chosen:
        if fold(text.strip()).text not in known:
            raise no_such_word(text, [one.word for one in found])


def _words(
    concepts: Concepts,
    found: Sequence[Occurrence],
    said: Said,
    states: Tensor,
    ranges: Ranges | None,
    n_concepts: int,
) -> tuple[Tensor, list[WordSeen]]:
    """Activations of all concepts at all words, and what is told of each word."""
    alignment = alignment_of(concepts.site.tokens)
    sites = Sites(concepts.site.tokens, said)
    scores = torch.full((len(found), concepts.k), torch.nan)
    seen: list[WordSeen] = []
    for row, word in enumerate(found):
        position = position_of(word, alignment)
        where, cut = sites.where(position), is_cut(word, said)
        note = "; ".join(part for part in (note_of(where), _CUT if cut else "") if part)
        active = ()
        if position < len(states):  # the last token of an answer that was cut off was never read
            scores[row] = activations(concepts, states[position][None])[0]
            active = activities(concepts, scores[row], ranges, n_concepts)
        seen.append(WordSeen(word.word, word.start, word.end, position, where, active, note))
    return scores, seen


def _paths(store: ActivationStore | None, samples: Samples | None) -> Mapping[str, str]:
    """Path of each sample's first picture, by sample id."""
    rows = [] if store is None else [(one.sample_id, one.image) for one in store.rows]
    listed = [(one.id, path_of(one)) for one in samples or ()]
    return {name: path for name, path in (*rows, *listed) if path and not is_hidden(path)}


def _named(
    concepts: Concepts,
    seen: Sequence[WordSeen],
    paths: Mapping[str, str],
    n_words: int,
    n_images: int,
) -> tuple[ConceptSeen, ...]:
    """What the concepts that are named at some word look like."""

    def listed(lists: Sequence[Sequence[str]], index: int, n: int) -> tuple[str, ...]:
        return tuple(lists[index][:n]) if lists else ()

    indices: Any = sorted({one.concept for word in seen for one in word.concepts})
    return tuple(
        ConceptSeen(
            index,
            concepts.sizes[index],
            listed(concepts.words, index, n_words),
            listed(concepts.contrastive, index, n_words),
            listed(concepts.neighbours, index, n_words),
            tuple((name, paths.get(name)) for name in listed(concepts.images, index, n_images)),
        )
        for index in indices
    )
