"""Words of grammar: what sentences are made of and never about.

A table for the languages that models speak most, and a rule for all others.
"""

from shiftlens.activations.words.folding import fold
from shiftlens.core.errors import DataError

_LISTS = {
    "en": (
        "a about above after all also an and any are as at back be because been before behind "
        "being below beside between both but by can could did do does down each for from front "
        "had has have he her here hers him his how i if in inside into is it its just left like "
        "many may me more most my near next no nor not of off on one onto or other our out "
        "outside over own right s she should so some such t than that the their them then there "
        "these they this those through to too top toward towards two under until up upon us very "
        "was we were what when where which while who whose why will with within without would yes "
        "you your"
    ),
    "de": (
        "aber als am an auch auf aus bei da das dass dem den der des die doch ein eine einem "
        "einen einer eines er es für hat hinter ich ihr ihre im in ist ja kein mit nach nein "
        "neben nicht noch oder ohne sein seine sich sie sind so um und unter vom von vor war was "
        "wie wird zu zum zur zwei zwischen über"
    ),
    "fr": (
        "au aux avec c ce ces cette d dans de des du elle elles en est et eux il ils j je l la le "
        "les leur lui m mais n ne nous on ou par pas pour qu que qui s sa sans se ses son sont "
        "sous sur t tu un une vers vous y à était été être"
    ),
    "es": (
        "a al como con de del desde donde e el ella en entre era es esta este está están estos la "
        "las lo los más muy ni no o para pero por que se sin sobre su sus sí también tiene un una "
        "uno unos y ya"
    ),
    "it": (
        "a ad al alla anche che chi ci come con da dal dalla dei del della delle di e ed è gli ha "
        "i il in io la le lo ma nel nella no non o per più quello questo se si sono su sul sulla "
        "tra un una uno"
    ),
    "pt": (
        "a ao as com como da das de do dos e ela ele em entre era essa esse esta está estão eu "
        "foi há isso mais mas na nas no nos não o os ou para pela pelo por que se sem seu sua são "
        "também um uma"
    ),
    "nl": (
        "aan al als bij dat de den die dit door een en er had heeft het hij ik in is je maar met "
        "naar niet nog of om onder ook op over te tot uit van voor was wat we zijn"
    ),
    "ru": (
        "а без бы в во вот все вы да для до его ее если еще же за и из или им их к как ко ли на "
        "над не нет но о об он она они от по под при с со так то у уже что это я"
    ),
    "tr": (
        "ama bir bu çok da daha de değil diye en gibi hem her için ile ise ki mi mı mu mü ne o "
        "olan olarak şu üzerinde var ve veya ya yok"
    ),
    "ar": "أن أو إلى التي الذي في على عن كان لا ما مع من هذا هذه هناك هو هي و ولا يوجد",
    "hi": "एक और इस उस का कि की के को जो तो था थी थे ने पर भी में यह ये वह वे से है हैं हो",
    "ja": (
        "ある あります いる います が から これ この こと した して する その それ た だ って て "
        "で です と な に の は へ ます まで も や よう よう を ん"
    ),
    "zh": (
        "了 个 为 也 与 不 中 之 些 以 会 位 有 一 一个 一些 上 下 个 他 们 你 到 到了 前 及 可以 "
        "和 在 地 她 它 就 很 把 是 着 被 要 这 那 都 里 的 而 我"
    ),
    "ko": "것 그 그리고 있는 있다 있습니다 이 저 한 수 및",
}

STOP_WORDS = frozenset(fold(word).text for line in _LISTS.values() for word in line.split())
"""Folded words of the table."""

LANGUAGES = tuple(_LISTS)
"""Codes of the languages in the table."""


def stop_words_of(*languages: str) -> frozenset[str]:
    """Folded words of grammar of some languages, by code ("en", "de"); of all of them if none.

    Raises:
        DataError: a language that is not in the table.
    """
    unknown = [one for one in languages if one not in _LISTS]
    if unknown:
        raise DataError(
            f"no stop words for {', '.join(map(repr, unknown))}",
            allowed=", ".join(LANGUAGES),
            remedy="give the words themselves: a list",
        )
    lines = [_LISTS[one] for one in languages or LANGUAGES]
    return frozenset(fold(word).text for line in lines for word in line.split())


_TWICE = 1.5  # times that a response says a word if it says it at all
_MOST = 0.5  # of all responses


def is_grammar(folded: str, occurrences: int, samples: int, n: int) -> bool:
    """Whether a word is one of grammar: in the table, or said again and again in most responses.

    Args:
        folded: the word, folded.
        occurrences: how often it was said.
        samples: in how many responses.
        n: how many responses there are.
    """
    return folded in STOP_WORDS or (
        samples > _MOST * n and occurrences >= _TWICE * samples and len(folded) < 5
    )
