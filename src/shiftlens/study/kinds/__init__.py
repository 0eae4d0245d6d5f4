"""One file for each kind of steering that an experiment can ask for."""
