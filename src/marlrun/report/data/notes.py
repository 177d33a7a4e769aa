"""What was dropped, missing or doubtful: every such thing is told, none stops the report."""

from collections.abc import Iterator

from marlrun.report.data.plain import printable


class Notes:
    """Sentences, each with the things it is about, in the order in which they came up."""

    def __init__(self) -> None:
        self._notes: dict[str, dict[str, None]] = {}

    def add(self, sentence: str, about: str = "") -> None:
        """Note something, perhaps about one more thing."""
        things = self._notes.setdefault(printable(sentence), {})
        if about:
            things[printable(about)] = None

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        """Yield every sentence with what it is about."""
        yield from ((sentence, list(things)) for sentence, things in self._notes.items())

    def __len__(self) -> int:
        """Return how many sentences there are."""
        return len(self._notes)

    def lines(self, limit: int) -> Iterator[str]:
        """Yield a line a sentence, naming at most `limit` things."""
        for sentence, things in self:
            more = f", and {len(things) - limit} more" if len(things) > limit else ""
            yield f"{sentence}: {', '.join(things[:limit])}{more}" if things else sentence
