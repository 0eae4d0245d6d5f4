"""Samples and images: what is shown to a model, read lazily, counted when unreadable."""
