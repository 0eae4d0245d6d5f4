"""What it takes to read inputs that no memory should hold: long lines, large tables, features."""
