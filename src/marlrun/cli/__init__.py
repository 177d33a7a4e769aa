"""The command line: what is typed is checked, composed, and given to the mode that does it."""
