"""The kinds of rules: one file each, registered by the name that a policy uses."""
