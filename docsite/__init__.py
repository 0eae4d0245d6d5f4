"""What builds the documentation site: pages made of the code, and tutorials that are run."""
