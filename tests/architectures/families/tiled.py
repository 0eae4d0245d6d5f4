"""Tiny models of families: see the table."""

from tests.architectures.families.family import Family

TILED: tuple[Family, ...] = ()
