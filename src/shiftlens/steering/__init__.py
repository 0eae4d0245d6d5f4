"""Changing behaviour without training: directions, gates, interventions with receipts."""
