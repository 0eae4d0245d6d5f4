"""A site as people say it."""

from shiftlens.activations.site import Site

_SHOWN = 4


def in_words(site: Site) -> str:
    """``after block 5, where person, man, woman is said``."""
    several = isinstance(site.layer, tuple)
    layers = ", ".join(map(str, site.layers[:8])) + (", ..." if len(site.layers) > 8 else "")
    tower = "" if site.tower == "language" else f" of the {site.tower}"
    told = site.tokens.describe()
    words = list(told.get("words", ()))
    named = ", ".join(words[:_SHOWN]) + (", ..." if len(words) > _SHOWN else "")
    kind = str(told.get("kind", "")).replace("_", " ")
    tokens = f"where {named} is said" if words else f"at {kind}"
    return f"after {'blocks' if several else 'block'} {layers}{tower}, {tokens}"
