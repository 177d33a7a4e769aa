"""Figures, tables and the files of a report."""
