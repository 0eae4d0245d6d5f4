"""What steering does on the embedded world, what it costs elsewhere, and how long it takes.

Everything is fitted on one draw of the world and judged on another, three times; a gate sees no
factor of the world that a user could not label by hand, and at most 200 such labels.
"""
