"""Contractions that VQAv2's evaluation mends: ``dont`` is read as ``don't``.

The official table is a list of misspelt forms. It is written here as what it is made of: a stem and
an ending, run together. It has gaps (``shell`` and ``wed`` are words of their own) and one slip
(``somebody'd`` loses its apostrophe); both are kept, since they decide what counts as equal.
"""

_STEMS = {
    "n't": (
        "ai are ca could did does do had has have is might must need ought sha should was were wo "
        "would"
    ),
    "'ve": "could might must not should they we what where who would you",
    "'d": "he how it someone something there they where who you",
    "'ll": "how it somebody someone something they what who why you",
    "'s": "he how somebody someone that there what when where who why",
    "'re": "there they what why you",
}
_WOULD_HAVE = "he it she somebody someone something there they we who you"
_NOT_HAVE = "could had might should would"
_SINGLE = {
    "maam": "ma'am",
    "oclock": "o'clock",
    "twas": "'twas",
    "ow's'at": "'ow's'at",
    "'ows'at": "'ow's'at",
    "'ow'sat": "'ow's'at",
    "yall": "y'all",
    "yall'll": "y'all'll",
    "y'allll": "y'all'll",
    "yall'd've": "y'all'd've",
    "y'alld've": "y'all'd've",
    "y'all'dve": "y'all'd've",
    "somebody'd": "somebodyd",
}


def _table() -> dict[str, str]:
    table = dict(_SINGLE)
    for ending, stems in _STEMS.items():
        table |= {stem + ending.replace("'", ""): stem + ending for stem in stems.split()}
    for stems, middle in ((_WOULD_HAVE, "'d"), (_NOT_HAVE, "n't")):
        for stem in stems.split():
            whole = f"{stem}{middle}'ve"
            table[stem + middle.replace("'", "") + "'ve"] = whole
            table[stem + middle + "ve"] = whole
    return table


CONTRACTIONS = _table()
"""Misspelt form to the right one, all in lower case."""
