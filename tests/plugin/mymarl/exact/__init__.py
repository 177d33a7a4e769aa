"""Exact solutions of the games."""
