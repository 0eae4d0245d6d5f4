"""Sparse autoencoders that were trained elsewhere, read in as concepts."""
