"""Particles that Korean writes attached to a noun: behind one of them the noun is still whole.

They are a closed class, and nearly every noun of a sentence carries one ("개가", the dog as the
subject). Which of two forms is right depends on whether the noun ends in a consonant, and that
alone tells many words apart: "나이" (age) is not "나" (I) with the particle "이".
"""

import unicodedata

_FIRST, _LAST, _FINALS = 0xAC00, 0xD7A3, 28  # composed syllables, and finals for each of them
_RIEUL = 8  # the final ㄹ, which takes 로 as vowels do

_ANY = (
    *("들", "의", "에", "에서", "에서는", "에게", "에게서", "한테", "한테서", "께", "께서"),
    *("도", "만", "까지", "부터", "처럼", "보다", "마다", "조차", "마저", "밖에", "하고"),
    *("인", "입니다", "이다", "이에요", "이고", "이며", "이었다"),
)
_AFTER_CONSONANT = (
    *("은", "이", "을", "과", "으로", "으로서", "으로써"),
    *("이랑", "이나", "이라도", "이란"),
)
_AFTER_VOWEL = (
    *("는", "가", "를", "와", "로", "로서", "로써"),
    *("랑", "나", "라도", "란", "예요", "였다"),
)
_AFTER_RIEUL = ("로", "로서", "로써")

_MOST = 3  # particles in a row: "개들에게는" has three


def is_hangul(character: str) -> bool:
    """Whether a character is a Hangul syllable or one of the letters that syllables are made of."""
    return _FIRST <= ord(character) <= _LAST or 0x1100 <= ord(character) <= 0x11FF


def only_particles(noun: str, rest: str, *, most: int = _MOST) -> bool:
    """Whether what follows a noun without a space is nothing but particles.

    Args:
        noun: as it is written.
        rest: the Hangul that follows it; not empty.
        most: how many particles there may be in a row.
    """
    before, after = (unicodedata.normalize("NFC", part) for part in (noun, rest))
    if not after:
        return True
    if most == 0:
        return False
    return any(
        only_particles(particle, after[len(particle) :], most=most - 1)
        for particle in _fitting(before[-1])
        if after.startswith(particle)
    )


def _fitting(last: str) -> tuple[str, ...]:
    """Particles that may follow a syllable."""
    if not _FIRST <= ord(last) <= _LAST:
        return (*_ANY, *_AFTER_CONSONANT, *_AFTER_VOWEL)
    final = (ord(last) - _FIRST) % _FINALS
    if not final:
        return (*_ANY, *_AFTER_VOWEL)
    return (*_ANY, *_AFTER_CONSONANT, *(_AFTER_RIEUL if final == _RIEUL else ()))
