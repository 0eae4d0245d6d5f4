"""Measures of what a model said: texts and labels in, one number a text and intervals out.

Nothing here knows a model, a task or a file. Wherever a measure is a number of one text it is given
text by text, so that two runs over the same samples can be compared in pairs:
``shiftlens.core.intervals`` has ``paired_difference`` and ``mcnemar`` for flags,
``bootstrap_paired`` for other numbers and ``bootstrap`` for what is no mean.
"""
