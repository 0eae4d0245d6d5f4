"""Which states are kept, how they are harvested, and the store that holds them on disk."""
