"""From samples to inputs: processors of any family, their templates, tokens and limits."""
