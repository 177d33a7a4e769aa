"""Accidents, damage and mistakes, drawn by a seeded generator: `make reliability SEED=..`."""
