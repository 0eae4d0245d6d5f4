"""Whether a text says the same again and again: how too strong a steering shows first."""

from shiftlens.steering.outcomes import words_of

_LONGEST = 4


def repeats(text: str) -> bool:
    """Whether one to four words are said again right behind themselves: ``black black``.

    Marks and letter case do not count. A person rarely writes so, a derailed model does; a text in
    which it is meant counts for the unsteered model too, from which costs are counted.
    """
    words = words_of(text)
    for size in range(1, _LONGEST + 1):
        for at in range(len(words) - 2 * size + 1):
            if words[at : at + size] == words[at + size : at + 2 * size]:
                return True
    return False
