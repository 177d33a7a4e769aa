"""The algorithms: one file each, none imports another."""
