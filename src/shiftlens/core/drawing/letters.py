"""Words of models and users in figures: cut, on one line, and never read as formulas."""

import unicodedata
from collections.abc import Iterable

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties, fontManager

_BOX = "□"
_OWN = "DejaVu Sans"  # comes with matplotlib
_WIDER = (
    *("Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Arabic"),
    *("Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS"),
)


def families() -> list[str]:
    """Fonts to look a letter up in: matplotlib's own, then what this machine has beside it."""
    there = {one.name for one in fontManager.ttflist}
    return [_OWN, *(one for one in _WIDER if one in there)]


def shown(text: str, most: int = 40) -> str:
    """A text as a label: on one line, at most so many letters, a box for one that no font has."""
    printed = "".join(one if _is_shown(one) else " " for one in text[: 4 * most])
    line = " ".join(printed.split())
    cut = line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
    fonts = [
        font_manager.get_font(font_manager.findfont(FontProperties(family=one)))
        for one in families()
    ]
    return "".join(
        one if one.isspace() or any(font.get_char_index(ord(one)) for font in fonts) else _BOX
        for one in cut
    )


def listed(words: Iterable[str], most: int = 34) -> str:
    """As many whole words as there is room for, with commas; a dash for none."""
    kept = ""
    for word in words:
        longer = f"{kept}, {word}" if kept else shown(word, most)
        if kept and len(longer) > most:
            break
        kept = longer
    return shown(kept, most) or "–"


def _is_shown(letter: str) -> bool:
    """Neither a control nor a mark that turns the reading direction round."""
    return unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn")
