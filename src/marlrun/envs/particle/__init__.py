"""Particle worlds: Lowe et al. 2017, in the rules of mpe2 and of the MA-AIRL paper's fork."""
