"""A package of a user's own, written as CONTRIBUTING teaches: two algorithms and a game."""
