"""Replay and trace sampling."""
