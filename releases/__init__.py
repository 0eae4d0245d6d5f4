"""What a release consists of: built from the files that git knows, checked, installed, tried."""
