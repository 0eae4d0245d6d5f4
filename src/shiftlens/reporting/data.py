"""A comparison as the part of metrics.json that the report draws."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from shiftlens.reporting.numbers import clean

if TYPE_CHECKING:
    from shiftlens.shift.concept_shift import ConceptChange, ConceptShift

_PLAIN = (
    *("index", "partner", "nearest", "share", "words_base", "words_tuned"),
    *("contrastive_base", "contrastive_tuned", "came", "went", "words_shifted"),
    *("overlap", "cosine", "magnitude", "consistency", "lost"),
)


def describe_shift(shift: "ConceptShift", images: Mapping[str, str]) -> dict[str, Any]:
    """What became of every concept, as JSON; docs/formats/metrics.md describes the keys.

    Args:
        shift: the comparison.
        images: path of the picture of each sample, by sample id; a sample that is not in it is
            named without a picture.

    Returns:
        ``changes``, ``recovery``, ``recovery_own_text``, ``published``, ``shares``,
        ``concept_shares`` and ``flow``; numbers that
        are not defined (the consistency of a concept of one sample) are ``None``.
    """
    return clean(
        {
            "changes": [_change(change, images) for change in shift.changes()],
            "recovery": shift.recovery,
            "recovery_own_text": shift.recovery_own_text,
            "published": shift.published or None,
            "shares": shift.shares,
            "concept_shares": shift.concept_shares,
            "flow": shift.flow,
        }
    )


def _change(change: "ConceptChange", images: Mapping[str, str]) -> dict[str, Any]:
    return {
        **{name: getattr(change, name) for name in _PLAIN},
        "images_base": _pictures(change.images_base, images),
        "images_tuned": _pictures(change.images_tuned, images),
    }


def _pictures(ids: Iterable[str], images: Mapping[str, str]) -> list[dict[str, str | None]]:
    return [{"id": one, "path": images.get(one)} for one in ids]
