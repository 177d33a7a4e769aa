"""Graphs and matrices from files; what is none is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from graphs.graphs_at_hand import network

RING = np.array([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
DOUBLY = np.array(
    [[0.5, 0.25, 0, 0.25], [0.25, 0.5, 0.25, 0], [0, 0.25, 0.5, 0.25], [0.25, 0, 0.25, 0.5]]
)


def written(name: str, content) -> str:
    if isinstance(content, str):
        Path(name).write_text(content)
    elif isinstance(content, bytes):
        Path(name).write_bytes(content)
    elif name.endswith(".npy"):
        np.save(name, content)
    else:
        np.savetxt(name, content, delimiter="," if name.endswith(".csv") else " ")
    return name


@pytest.mark.parametrize("name", ["g.npy", "g.csv", "g.txt"])
@pytest.mark.parametrize("content", [RING, DOUBLY])
def test_a_matrix_is_a_graph(here, name, content):
    found = network("from_file", 4, [0, 1], file=written(name, content)).draw().matrix
    expected = network("ring", 4, [0, 1]).draw().matrix
    assert found.equal(expected)


@pytest.mark.parametrize(
    "text", ["0 1\n1 2\n2 3\n3 0\n", "# a ring\n0 1\n\n1 2  # here\n3 2\n0 3\n1 0\n"]
)
def test_a_list_of_links_is_a_graph(here, text):
    found = network("from_file", 4, file=written("g.txt", text)).draw().matrix
    assert found.equal(network("ring", 4).draw().matrix)
    assert network(
        "from_file", 4, file=written("g.csv", text.replace(" ", ",").replace(",,#,", "#"))
    )


def test_two_agents_are_not_two_links(here):
    found = network("from_file", 2, file=written("g.txt", "0 1\n1 0\n")).draw().matrix
    assert found.tolist() == [[[0.5, 0.5], [0.5, 0.5]]]


def test_a_matrix_that_leads_one_way_is_for_push_sum(here):
    one_way = written("g.npy", np.roll(np.eye(4), 1, 0))
    with pytest.raises(ValueError, match="graph.weights=metropolis: expected push_sum"):
        network("from_file", 4, file=one_way)
    found = network("from_file", 4, file=one_way, weights="push_sum").draw().matrix
    assert found.equal(network("directed_ring", 4).draw().matrix)


def test_a_matrix_is_taken_as_it_is(here):
    found = network("from_file", 4, [1, 2], file=written("c.npy", DOUBLY), weights="from_file")
    assert found.draw().matrix.tolist() == [DOUBLY.tolist()] * 2
    assert found.problem is None and found.warning is None and not found.is_directed
    ring = network("ring", 4, file="c.npy", weights="from_file")
    assert ring.draw().matrix[0].tolist() == DOUBLY.tolist()


def test_a_doubly_stochastic_matrix_may_lead_one_way(here):
    file = written("c.npy", (np.eye(4) + np.roll(np.eye(4), 1, 0)) / 2)
    found = network("from_file", 4, file=file, weights="from_file")
    assert found.is_directed and not found.is_push_sum
    assert found.problem is None and found.warning is None


def test_a_matrix_that_weighs_the_team_is_warned_about(here):
    file = written("c.csv", "0.5,0.5\n0.1,0.9\n")
    found = network("from_file", 2, file=file, weights="from_file")
    assert found.warning.startswith("graph.file=c.csv: not column-stochastic, column 0 sums to 0.6")


def test_a_matrix_that_keeps_agents_apart_is_a_problem(here):
    file = written("c.npy", np.kron(np.eye(2), np.full((2, 2), 0.5)))
    assert "disconnected" in network("from_file", 4, file=file, weights="from_file").problem


@pytest.mark.parametrize(
    ("name", "content", "weights", "expected"),
    [
        ("g.txt", "hello world\n", "metropolis", r"line 1 is 'hello world', expected only"),
        ("g.txt", "#\n1 2\n\n3\n", "metropolis", "line 4 has 1 numbers, expected 2 as in line 2"),
        ("g.txt", "", "metropolis", "expected a table of numbers, it is empty"),
        ("g.csv", "# nothing\n\n", "metropolis", "expected a table of numbers, it is empty"),
        ("g.npy", "", "metropolis", "expected an array of numbers: "),
        ("g.npy", "no array", "metropolis", "expected an array of numbers: "),
        ("g.npy", np.array([{}], dtype=object), "metropolis", "expected an array of numbers: "),
        ("g.npy", RING * 1j, "metropolis", "expected an array of numbers, its dtype is complex128"),
        ("g.npy", RING.astype(str), "metropolis", "expected an array of numbers, its dtype is <U"),
        ("g.npy", np.zeros(4), "metropolis", r"expected a table .* its shape is \(4,\)"),
        ("g.npy", np.zeros((0, 2)), "metropolis", r"expected a table .* its shape is \(0, 2\)"),
        ("g.npy", np.full((4, 4), np.nan), "metropolis", r"entry \(0, 0\) is nan, expected finite"),
        ("g.npy", -1 * RING, "metropolis", r"entry \(0, 1\) is -1, expected 0 where there is no"),
        ("g.csv", "0,1,0\n" * 3, "from_file", "a table of 3 x 3, expected 4 x 4"),
        ("g.json", "{}", "metropolis", "expected a file .npy, .csv or .txt"),
        ("g.npy", np.ones((5, 5)), "metropolis", "a table of 5 x 5, expected 4 x 4"),
        ("g.npy", np.ones((4, 3)), "metropolis", "a table of 4 x 3, expected 4 x 4"),
        ("g.txt", "0 1\n1 4\n", "metropolis", "link 1 is 1 4, expected two agents of 0 .. 3"),
        ("g.txt", "0 1\n1 2.5\n", "metropolis", "link 1 is 1 2.5, expected two agents of 0 .. 3"),
        ("g.npy", RING, "from_file", "not row-stochastic, row 0 sums to 2, expected 1"),
        ("g.npy", 1.5 * np.eye(4) - DOUBLY / 2, "from_file", r"entry \(0, 1\) is -0.125"),
        ("g.txt", "0 1\n", "from_file", "a table of 1 x 2, expected 4 x 4, a row an agent, for"),
    ],
)
def test_what_is_no_graph_is_named(here, name, content, weights, expected):
    with pytest.raises(ValueError, match=rf"^graph.file={name}: {expected}[^\n]*$"):
        network("from_file", 4, file=written(name, content), weights=weights)


LINKS = "0,1\n1,2\n2,3\n3,0\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("g.csv", b"\xef\xbb\xbf" + LINKS.encode()),
        ("G.CSV", LINKS.encode()),
        ("g.Txt", LINKS.replace(",", "\t").encode()),
        ("g.csv", LINKS.replace("\n", "\r\n").encode()),
        ("g.csv", LINKS.replace("\n", "\r").rstrip().encode()),
        ("g.csv", LINKS.replace(",", " , ").encode()),
    ],
)
def test_files_of_other_programs_are_read(here, name, content):
    found = network("from_file", 4, file=written(name, content)).draw().matrix
    assert found.equal(network("ring", 4).draw().matrix)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (LINKS.encode("utf-16"), "expected text in UTF-8, this is UTF-16"),
        (b"0,1\n\xe9,2\n", "expected text in UTF-8, byte 4 is none"),
        (
            LINKS.replace(",", ";").encode(),
            "line 1 is '0;1', expected only numbers with commas between them",
        ),
        (
            b"# a ring\nfrom,to\n" + LINKS.encode(),
            "line 2 is 'from,to', expected only numbers with commas between them",
        ),
        (
            LINKS.replace("\n", ",\n").encode(),
            "line 1 is '0,1,', expected only numbers with commas between them",
        ),
        (b"0,1\n1,2,\n", "line 2 is '1,2,', expected only numbers with commas between them"),
        (b"0 1\n1 2\n", "line 1 is '0 1', expected only numbers with commas between them"),
        (b"", "expected a table of numbers, it is empty"),
        (
            b"1,2\n2,3\n3,4\n4,1\n",
            "link 2 is 3 4, expected two agents of 0 .. 3; agents are numbered from 0, not from 1",
        ),
        (b"0,1\n1,2\n2,4\n", "link 2 is 2 4, expected two agents of 0 .. 3"),
    ],
)
def test_files_of_other_programs_are_refused_by_what_is_wrong(here, content, expected):
    with pytest.raises(ValueError) as caught:
        network("from_file", 4, file=written("g.csv", content))
    assert str(caught.value) == f"graph.file=g.csv: {expected}"


def test_an_archive_is_not_unpacked(here):
    np.savez_compressed("g.npz", RING)
    Path("g.npz").rename("g.npy")
    with pytest.raises(
        ValueError, match="graph.file=g.npy: expected an array of numbers: the magic"
    ):
        network("from_file", 4, file="g.npy")


def test_an_array_that_promises_more_than_there_is_is_refused(here):
    header = np.lib.format.header_data_from_array_1_0(RING) | {"shape": (2**30, 2**30)}
    with Path("g.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ValueError, match="graph.file=g.npy: expected an array of numbers: [^\n]*$"):
        network("from_file", 4, file="g.npy")


def test_a_file_is_parsed_once(here, monkeypatch):
    calls = []
    loadtxt = np.loadtxt
    monkeypatch.setattr(np, "loadtxt", lambda *a, **k: calls.append(1) or loadtxt(*a, **k))
    network("from_file", 4, [0, 1, 2], file=written("c.csv", DOUBLY), weights="from_file")
    assert calls == [1]


def test_more_that_is_named(here):
    file = written("c.npy", DOUBLY)
    with pytest.raises(ValueError, match=r"c.npy: entry \(0, 3\) has weight, but is no link"):
        network("path", 4, file=file, weights="from_file")
    with pytest.raises(ValueError, match="graph.dynamics=redrawn: expected static with"):
        network("from_file", 4, file=file, weights="from_file", dynamics="redrawn")
