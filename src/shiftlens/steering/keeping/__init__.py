"""``Steering``: interventions that are kept, shared and exported as one thing."""
