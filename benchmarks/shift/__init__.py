"""How often verdicts raise false alarms, what they can detect, and what real adapters do.

Trains its own adapters on the embedded world (placebos, two caption styles, one that renames a
word; five seeds each), and keeps them in ``runs/bench-shift`` for the next time.
"""
