"""Optima and reference values by dynamic programming: the truth to measure against."""
