"""How far into a decoded text each of its tokens reaches: offsets of any tokenizer.

Nobody but the tokenizer's own decoder knows how tokens become text: it strips a leading space,
drops special tokens, glues ``##`` pieces, tidies spaces, or joins bytes to a character only once
the last of them is there. So the characters that a token adds are told by decoding growing prefixes
of the very ids that were generated. That is quadratic; here most prefixes are decoded from a few
tokens before, which is checked against whole prefixes time and again, and given up for whole
prefixes wherever it does not hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shiftlens.core.errors import DataError

Decode = Callable[[Sequence[int]], str]

_WINDOW = 32  # tokens between two whole prefixes that are decoded to check
_CONTEXT = 8  # tokens before a window that are decoded with it


@dataclass(frozen=True)
class Reach:
    """Where tokens lie in a text.

    Attributes:
        ends: for each token, how many characters are finished once it is there.
        touched: the same with the character that it has begun and not finished, as the first of
            its bytes does.
    """

    ends: tuple[int, ...]
    touched: tuple[int, ...]

    def covering(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last token of some characters; none where the text does not have them."""
        first = next((i for i, one in enumerate(self.touched) if one > start), None)
        last = next((i for i, one in enumerate(self.ends) if one >= end), None)
        return None if first is None or last is None else (first, last)


def reach_of(text: str, token_ids: Sequence[int], decode: Decode) -> Reach:
    """The reach of every token.

    Args:
        text: what the tokens decode to.
        token_ids: the tokens.
        decode: from ids to text, as the text itself was decoded.

    Raises:
        DataError: the tokens decode to another text.
    """
    ids = list(token_ids)
    whole = decode(ids)
    if whole != text:
        raise DataError(
            f"the tokens decode to {_short(whole)}, not to the text {_short(text)}",
            remedy="give the text as it was decoded, not stripped, by the same decoder",
        )
    found = _by_windows(text, ids, decode)
    return _reach(text, _by_prefixes(ids, decode) if found is None else found)


def reach_by_prefixes(text: str, token_ids: Sequence[int], decode: Decode) -> Reach:
    """The same by definition, with every prefix decoded: the yardstick of ``reach_of``."""
    return _reach(text, _by_prefixes(list(token_ids), decode))


def _by_prefixes(ids: list[int], decode: Decode) -> list[tuple[int, str]]:
    return [(0, decode(ids[:count])) for count in range(1, len(ids) + 1)]


def _by_windows(text: str, ids: list[int], decode: Decode) -> list[tuple[int, str]] | None:
    """What each prefix decodes to: how much of the text it begins with, and what then follows.

    A window begins behind an anchor, a prefix that decodes to the beginning of the text. The few
    tokens before it are decoded alone and with what follows; the difference is what follows it.

    Returns:
        none where decoding does not depend on neighbours alone.
    """
    found: list[tuple[int, str]] = []
    anchor, reached, context, head = 0, 0, 0, ""
    for count in range(1, len(ids) + 1):
        near = decode(ids[context:count])
        if near.startswith(head):  # noqa: SIM108
            prefix = (reached, near[len(head) :])
        else:  # bytes of one run are valid together or not at all: what was before has changed
            prefix = (0, decode(ids[:count]))
        found.append(prefix)
        if count - anchor < _WINDOW or not text.startswith(prefix[1], prefix[0]):
            continue
        end = prefix[0] + len(prefix[1])
        if decode(ids[:count]) != text[:end]:
            return None
        before = _context(text[:end], ids[:count], decode)
        if before is not None:
            anchor, reached, (context, head) = count, end, before
    last, more = found[-1] if found else (0, "")
    return found if text[:last] + more == text else None


def _context(before: str, ids: list[int], decode: Decode) -> tuple[int, str] | None:
    """Where the last few tokens of a prefix begin, and what they decode to alone.

    They must decode to the end of the prefix: tokens that begin inside of a character do not.
    """
    for n in range(_CONTEXT, min(2 * _CONTEXT, len(ids)) + 1):
        head = decode(ids[-n:])
        if head and before.endswith(head):
            return len(ids) - n, head
    return None


def _reach(text: str, prefixes: Sequence[tuple[int, str]]) -> Reach:
    """Only what a prefix shares with the whole counts.

    An unfinished character decodes to a replacement mark that the finished text does not hold, and
    an apostrophe may stand apart until what follows it is there. In both cases the token has begun
    the next character of the text.
    """
    ends: list[int] = []
    touched: list[int] = []
    best = 0
    for known, more in prefixes:
        shared = known + _shared_length(more, text, known)
        best = max(best, shared)
        begun = bool(more[shared - known :].strip())
        ends.append(best)
        touched.append(min(best + begun, len(text)))
    return Reach(tuple(ends), tuple(touched))


def _shared_length(piece: str, text: str, start: int) -> int:
    """How many characters of a piece stand in the text from ``start`` on."""
    if text.startswith(piece, start):
        return len(piece)
    pairs = enumerate(zip(piece, text[start : start + len(piece)], strict=False))
    return next((i for i, (a, b) in pairs if a != b), max(0, len(text) - start))


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else shown[:57] + "..."
