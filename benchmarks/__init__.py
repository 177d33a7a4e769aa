"""Speed, as ratios inside one run against plain reference versions: `python -m benchmarks`."""
