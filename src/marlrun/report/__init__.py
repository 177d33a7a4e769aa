"""Tables and figures with honest intervals, from run directories."""
