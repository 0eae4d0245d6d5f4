"""Learners: from states to concepts, one file each; what they all are is in ``learner``."""
