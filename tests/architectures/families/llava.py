"""Tiny models of families: see the table."""

from tests.architectures.families.family import Family

LLAVA: tuple[Family, ...] = ()
