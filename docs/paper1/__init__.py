"""What paper 1 claims of Dec-HDRQN and of distillation, beside what was measured here."""
