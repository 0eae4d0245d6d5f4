"""CLIPScore: do the words of a concept describe the pictures in it?

A picture is scored against the words of the concept that it belongs to (Parekh et al. 2024, section
4): 2.5 x max(0, cosine) of CLIP's embeddings (Hessel et al. 2021). An ordinary caption scores about
.8 with CLIP ViT-B/32, words taken at random about .5: the figure means nothing alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from shiftlens.concepts.concepts import WordLists
from shiftlens.concepts.quality.figures import Figure
from shiftlens.concepts.quality.judging import PictureJudge, Seen, read_out
from shiftlens.concepts.quality.resampling import PerRow, figure_of, units_of
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Assignment

WEIGHT = 2.5
"""What cosines are stretched by, as published."""


@dataclass(frozen=True)
class Wording:
    """How words are put to a judge.

    Attributes:
        words_as: ``list`` (all words of a concept in one text, as published) or ``each`` (every
            word alone, scores averaged: for judges that read no lists).
        template: what stands around the words; ``{}`` is replaced.
        caption: what stands around a caption.
    """

    words_as: str = "list"
    template: str = "A photo is described by the words {}."
    caption: str = "A photo depicts {}"

    def __post_init__(self) -> None:
        if self.words_as not in ("list", "each"):
            raise LearnError(f"words as {self.words_as!r}", allowed="list, each")
        for text in (self.template, self.caption):
            if text.count("{}") != 1:
                raise LearnError(f"the template {text!r}", allowed="a text with one {} in it")

    def words(self, words: str) -> str:
        """The text for one word, or for several joined by commas."""
        return self.template.replace("{}", words)

    def captioned(self, caption: str) -> str:
        """The text for a caption."""
        return self.caption.replace("{}", caption)


BARE = Wording("each", "{}", "{}")
"""Single words and captions as they are: for the embedded world's judge."""


def known_words(judge: PictureJudge, words: WordLists) -> tuple[WordLists, int]:
    """The words that the judge can read, and how many it cannot."""
    kept = tuple(tuple(word for word in one if judge.knows(word)) for one in words)
    return kept, sum(map(len, words)) - sum(map(len, kept))


def picture_scores(
    judge: PictureJudge, seen: Seen, words: WordLists, wording: Wording
) -> np.ndarray:
    """CLIPScore of every picture with the words of every concept: (n, k).

    Columns of concepts without words that the judge knows are NaN.
    """
    kept, _ = known_words(judge, words)
    table = np.full((len(seen), len(words)), np.nan)
    for place, one in enumerate(kept):
        if one:
            joined = [", ".join(one)] if wording.words_as == "list" else list(one)
            texts = read_out(judge, [wording.words(text) for text in joined])
            table[:, place] = _scores(seen @ texts.T).mean(axis=1)
    return table


def clip_score(
    judge: PictureJudge,
    seen: Seen,
    assignment: Tensor,
    words: WordLists,
    *,
    name: str = "CLIPScore of words",
    wording: Wording | None = None,
    random_words: Sequence[WordLists] = (),
    captions: Sequence[str | None] | None = None,
    baselines: Mapping[str, Sequence[tuple[Assignment, WordLists]]] | None = None,
    groups: Sequence[object] | None = None,
    seed: int = 0,
    draws: int = 1000,
) -> Figure:
    """CLIPScore of pictures against the words of their concept, beside four baselines.

    *Shuffled concepts*: the words of a random row's concept; the difference is 0 on average where
    words have nothing to do with pictures, whatever the words are. *Random words*: as given.
    *Captions*: of the pictures, where given: what to expect at best. And any other concepts.

    The interval is over pictures, given these concepts and words. Rows without a concept, or whose
    concept has no words that the judge knows, are left out and counted, as are unknown words.

    Args:
        judge: who looks and reads.
        seen: (n, e) embeddings of the rows' pictures: ``looked_at``; best held-out ones.
        assignment: (n,) concept of each row, -1 for none.
        words: k lists.
        name: of the figure.
        wording: how words are put to the judge; as published unless given.
        random_words: draws of word lists that nobody learned; a picture is scored against them all.
        captions: one a row; ``None`` or empty where there is none.
        baselines: assignments and words of other concepts, by name; several of one name are
            averaged.
        groups: one a row; rows of one group (picture) are resampled together.
        seed: of the resampling.
        draws: resamples.

    Raises:
        LearnError: lengths differ, or no row can be measured.
    """
    wording = wording or Wording()
    n = _checked(len(seen), assignment, captions)
    table = picture_scores(judge, seen, words, wording)
    own = _own(table, assignment.cpu().numpy())
    others = {"shuffled concepts": _shuffled(table, assignment.cpu().numpy(), own)}
    lists = [one for one in random_words if any(one)]
    if lists:
        drawn = [_rowwise_mean(picture_scores(judge, seen, one, wording)) for one in lists]
        others["random words"] = np.mean(drawn, axis=0)
    if captions is not None and any(captions):
        others["captions"] = _captioned(judge, seen, captions, wording)
    for key, them in (baselines or {}).items():
        scored = [
            _own(picture_scores(judge, seen, other, wording), labels.cpu().numpy())
            for labels, other in them
        ]
        others[key] = np.mean(scored, axis=0)
    measured = {
        key: PerRow.mean(np.where(np.isfinite(own), values, np.nan))
        for key, values in others.items()
        if np.isfinite(np.where(np.isfinite(own), values, np.nan)).any()
    }
    kept, unknown = known_words(judge, words)
    return figure_of(
        name,
        PerRow.mean(own),
        measured,
        units_of(n, groups),
        unit="pictures",
        seed=seed,
        draws=draws,
        counts={"unknown words": unknown, "concepts without words": sum(not w for w in kept)},
    )


def _scores(cosines: Tensor) -> np.ndarray:
    return WEIGHT * cosines.double().clamp_min(0).numpy()


def _checked(n: int, assignment: Tensor, captions: Sequence[str | None] | None) -> int:
    for what, one in (("assigned rows", assignment), ("captions", captions)):
        if one is not None and len(one) != n:
            raise LearnError(f"{n} pictures with {len(one)} {what}", allowed="one a picture")
    return n


def _own(table: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each row's entry at its own concept; NaN for rows of none."""
    found = table[np.arange(len(labels)), np.maximum(labels, 0)]
    return np.where(labels >= 0, found, np.nan)


def _shuffled(table: np.ndarray, labels: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Expected score of each row with the concept of a random row that could be measured."""
    measured = np.isfinite(own)
    shares = np.bincount(labels[measured], minlength=table.shape[1]) / max(1, measured.sum())
    return np.where(measured, np.nan_to_num(table) @ shares, np.nan)


def _rowwise_mean(table: np.ndarray) -> np.ndarray:
    there = np.isfinite(table).any(axis=0)
    if not there.any():
        return np.full(len(table), np.nan)
    return table[:, there].mean(axis=1)


def _captioned(
    judge: PictureJudge, seen: Seen, captions: Sequence[str | None], wording: Wording
) -> np.ndarray:
    texts = [wording.captioned(one) if one else "" for one in captions]
    there = np.asarray([bool(one) for one in captions])
    found = np.full(len(texts), np.nan)
    vectors = read_out(judge, [one for one in texts if one])
    found[there] = _scores((seen[there] * vectors).sum(dim=1))
    return found
