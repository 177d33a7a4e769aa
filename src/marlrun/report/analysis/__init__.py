"""Runs grouped, compared and summarised."""
