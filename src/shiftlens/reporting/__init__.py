"""The report: one self-contained page, drawn from one JSON document; it computes nothing."""
