from marlrun.config import comments


def test_a_comment_is_read_behind_any_value():
    text = """
# A title: no comment of a key
a: 1          # int: plain
b: "x # y"    # str: a hash within quotes
c: [1, 2]     # list of int: a flow list
d:            # list: a block list
  - 1
e:
  f: null     # int or null: nested: and a colon
g: 2          # what it means
h: 3          # flaot [0, 1]: a misspelt type
i: 4
"""
    notes = {key: entry.note for key, entry in comments.entries(text).items() if entry.note}
    assert notes == {
        "a": ("int", "plain"),
        "b": ("str", "a hash within quotes"),
        "c": ("list of int", "a flow list"),
        "d": ("list", "a block list"),
        "e.f": ("int or null", "nested: and a colon"),
    }


def test_a_text_without_quotes_is_told_from_one_with_them():
    written = comments.entries("a: 1\nb: '1'\nc: {d: yes}\ne: [1]\n")
    unquoted = {"a": "1", "b": None, "c.d": "yes", "e": None}
    assert {key: entry.unquoted for key, entry in written.items()} == unquoted
    assert comments.entries("- 1") == comments.entries("") == {}


def test_the_title_is_the_first_comment():
    assert comments.title("# @package _global_\n# What it is\n# more\na: 1\n") == "What it is"
    assert comments.title("a: 1\n# Too late\n") == ""
