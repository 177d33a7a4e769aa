"""What is read from run directories."""
