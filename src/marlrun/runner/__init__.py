"""The loop, evaluation, checkpoints, logging and the run directory."""
