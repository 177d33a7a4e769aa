"""How numbers must lie in memory so that a replica's last bits do not depend on its company.

A CPU sums in an order that depends on where a matrix starts within 16 bytes (MKL), and it takes
numbers by vectors and rounds the rest of a tensor otherwise (Adam, the sigmoid of a cell).
"""

ALIGNED = 4
"""Floats of which a member's matrix must be a multiple."""
VECTOR = 16
"""Floats of which a member's row must be a multiple, and the units of a recurrent cell."""
