"""From states to concepts that can be named: learners, the frozen result, words and pictures."""
