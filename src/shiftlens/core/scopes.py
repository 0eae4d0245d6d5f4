"""The names of the positions that can be steered; readable without torch."""

SCOPES = ("response", "all", "prompt", "last_prompt", "generated")
"""``response``: every position that emits a response token, which is the last prompt position and
all generated ones. ``generated`` leaves the prompt alone and so cannot change the first token."""

TOWERS = ("language", "vision", "projector")
"""The parts of a model in which states can be read and edited."""
