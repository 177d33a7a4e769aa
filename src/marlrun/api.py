"""Python's door: what `import marlrun` offers, imported when it is asked for."""
