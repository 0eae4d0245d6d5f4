"""How the things of the world look, in pixels of a canvas drawn at twice its size."""
