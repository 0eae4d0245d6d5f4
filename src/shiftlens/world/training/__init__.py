"""Training the world's models from nothing: vision, then language, then adapters and the judge."""
