"""Networks whose parameters are stacked over (replica, agent)."""
