"""What a notebook shows of a store."""

from typing import TYPE_CHECKING

from shiftlens.activations.site_in_words import in_words
from shiftlens.core.cards import card

if TYPE_CHECKING:
    from shiftlens.activations.store import ActivationStore


def store_card(store: "ActivationStore") -> str:
    """How much it holds, from whom, and whether anything is missing."""
    about = store.about
    named = about.get("model") or about.get("name") or ""
    adapter = about.get("adapter")
    return card(
        "ActivationStore",
        f"{len(store):,} states, {in_words(store.site)}",
        {
            "model": f"{named} + {adapter}" if adapter else named,
            "samples": ", ".join(f"{n:,} {what}" for what, n in store.counts.items()),
            "set aside": f"{len(store.quarantine):,} could not be read" if store.quarantine else "",
            "state": "" if store.complete else "unfinished: run the same harvest again",
            "path": store.path,
        },
    )
