"""``check``: whether a fine-tune kept still what a policy says must not move."""
