"""Communication graphs: who hears whom, round after round, and how much each word counts."""
