"""What theory promises of networked actor-critic, against exact solutions and computed rho."""
