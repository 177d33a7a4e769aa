"""Sweeps, which are many jobs: their directory and sweep.json, Hydra's sweepers and launchers."""
