"""Pure functions on tensors, each citing paper and equation."""
