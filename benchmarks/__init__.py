"""Every number of the README and the notes, and the command that prints it."""
