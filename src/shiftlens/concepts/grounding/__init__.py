"""What a concept looks like to a person: words and most activating images."""
