"""What ``Concepts.plot`` draws."""
