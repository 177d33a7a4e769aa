"""What paper 3 claims of MA-AIRL and MA-GAIL, beside what controls do."""
