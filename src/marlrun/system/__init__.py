"""The operating system: files, streams, signals, memory, words for a shell."""
