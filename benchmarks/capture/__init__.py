"""What a harvest costs beside bare generation: processor time, memory, and GPU time where one is.

Ratios within one run, so that a busy machine cancels out; times are CPU-seconds of one thread.
"""
