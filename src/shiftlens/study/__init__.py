"""One file that says what to ask, and the stages that answer it, each cached and re-entrant."""
