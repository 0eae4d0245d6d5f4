"""States that another project's files hold, made into a store."""
