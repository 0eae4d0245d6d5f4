"""The playground under visitors: how soon the first word comes, and what ten at once do to it."""
