"""Whole words of any script in what a model said, and the tokens that cover them."""
