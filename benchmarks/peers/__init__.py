"""Games of other packages, and ours, each timed in a process of its own: see benchmarks/particle.py."""
