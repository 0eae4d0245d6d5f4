"""Tiny models of families: see the table."""

from tests.architectures.families.family import Family

NATIVE: tuple[Family, ...] = ()
