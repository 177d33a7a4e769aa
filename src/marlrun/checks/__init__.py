"""mode=check: the promises that an algorithm or an environment can break, each tried."""
