"""Selections: which positions of a sample their states are taken from."""
