"""How good concepts are, beside the same figures for concepts that nobody learned."""
