import pytest

from marlrun.system.errors import advising, one_line, with_type


def test_an_error_is_one_line_also_without_a_text():
    error = ValueError("a  b\n   c\n")
    assert (one_line(error), with_type(error)) == ("a b c", "ValueError: a b c")
    assert (one_line(MemoryError()), with_type(MemoryError())) == ("MemoryError", "MemoryError")


def test_a_way_out_is_added_to_what_is_wrong_and_to_nothing_else():
    with (
        pytest.raises(ValueError, match=r"^run\.json is damaged; delete it$"),
        advising("delete it"),
    ):
        raise ValueError("run.json is damaged")
    with pytest.raises(OSError, match=r"^no space$"), advising("delete it"):
        raise OSError("no space")
