"""The embedded world: drawn scenes with known factors, and a tiny multimodal LLM trained on it.

Nothing in the analysis imports this room; it is found by name (``world:people``, ``world:base``).
"""
