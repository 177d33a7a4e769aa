"""Notes of a report: what is left out, missing or doubtful is said, and stops nothing."""

from collections.abc import Iterator

from marlrun.system.plain import printable


class Notes:
    """Sentences, each with its subjects, such as runs, in the order in which they were added."""

    def __init__(self) -> None:
        self._notes: dict[str, dict[str, None]] = {}

    def add(self, sentence: str, subject: str = "") -> None:
        """Add a sentence, or one more subject to a sentence that is there."""
        subjects = self._notes.setdefault(printable(sentence), {})
        if subject:
            subjects[printable(subject)] = None

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        """Yield every sentence with its subjects."""
        yield from ((sentence, list(subjects)) for sentence, subjects in self._notes.items())

    def __len__(self) -> int:
        """Return the number of sentences."""
        return len(self._notes)

    def lines(self, limit: int) -> Iterator[str]:
        """Yield a line for each sentence, which names at most `limit` of its subjects."""
        for sentence, subjects in self:
            more = f", and {len(subjects) - limit} more" if len(subjects) > limit else ""
            yield f"{sentence}: {', '.join(subjects[:limit])}{more}" if subjects else sentence
