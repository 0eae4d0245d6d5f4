"""Concepts: how fast they are learned beside other libraries, and whether they mean something.

Ratios within one run, so that a busy machine cancels out; everything is seeded.
"""
