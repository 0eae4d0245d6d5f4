"""``diff``: which answers changed, which concepts explain it, and how sure that is."""
