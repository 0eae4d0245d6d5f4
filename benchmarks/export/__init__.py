"""Exports: how long they take, and what a baked checkpoint costs while it decodes."""
