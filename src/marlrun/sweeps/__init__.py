"""Many jobs: Hydra's sweepers and launchers, the sweep's directory and its record."""
