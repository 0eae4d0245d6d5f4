"""Tables of one's own: a row each, read one after another, with columns of any name."""
