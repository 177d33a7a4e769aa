"""The games: batched tensors, one game a file; nothing here knows about learning."""
