"""How the things of the world look; every coordinate is in pixels of a canvas drawn at twice its size."""
