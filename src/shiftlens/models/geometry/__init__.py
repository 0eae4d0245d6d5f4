"""Where the patches of a picture are: from tokens of the prompt to pixels, and back."""
