import errno
import os
import resource
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import pytest

from marlrun.sweeps.worker import _quiet
from marlrun.system.output import forgiving, refuse_lost_results


@contextmanager
def full_at(size):
    """A disk on which no file has more than `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_a_full_disk_does_not_take_is_dropped_and_the_rest_written(tmp_path, monkeypatch):
    with (tmp_path / "out").open("wb") as file:
        stream = forgiving(file.fileno())
        monkeypatch.setattr(sys, "stdout", stream)
        stream.write("begun\n")
        refuse_lost_results()
        with full_at(8):
            stream.write("lost " * 10 + "\n")
        stream.write("room again\n")
        with pytest.raises(OSError, match="'standard output'") as lost:
            refuse_lost_results()
        assert lost.value.errno == errno.EFBIG
        stream.close()
    assert (tmp_path / "out").read_text() == "begun\nloroom again\n"


def test_a_reader_that_has_gone_has_lost_nothing(monkeypatch):
    read, write = os.pipe()
    stream = forgiving(write)
    monkeypatch.setattr(sys, "stdout", stream)
    os.close(read)
    stream.write("anybody?\n")
    refuse_lost_results()
    os.close(write)


def test_a_terminal_that_has_gone_has_lost_nothing(monkeypatch):
    master, slave = os.openpty()
    stream = forgiving(slave)
    monkeypatch.setattr(sys, "stdout", stream)
    os.close(master)
    stream.write("anybody?\n")
    refuse_lost_results()
    os.close(slave)


def test_letters_that_an_encoding_lacks_are_spelled(tmp_path):
    with (tmp_path / "out").open("wb") as file:
        forgiving(file.fileno(), "ascii").write("ü \udcff\n")
    assert (tmp_path / "out").read_text() == "\\xfc \\udcff\n"


MISSING = """
import os
from marlrun.system.output import protect
protect()
file = open("file", "w")
assert file.fileno() > 2
os.write(2, b"a C library complains")
os.write(1, b"or prints")
print("so do we", flush=True)
os.close(os.dup(2))
"""


def test_a_slow_reader_of_a_stream_that_does_not_block_is_waited_for(monkeypatch):
    """Some programs set their end of a pipe so, and it is set for ours."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    size = 0
    with suppress(BlockingIOError):
        while True:
            size += os.write(writer, b"x" * 4096)
    stream = forgiving(writer)
    reading = threading.Timer(0.2, os.read, (reader, size))
    reading.start()
    stream.write("at last\n")
    reading.join()
    assert os.read(reader, 100) == b"at last\n"
    monkeypatch.setattr("marlrun.system.output._PATIENCE", 0.01)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    stream.write("lost\n")
    stream.flush()
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>&-", ">&-"])
def test_no_file_gets_the_number_of_a_missing_stream(closed, tmp_path):
    words = ["bash", "-c", f'"$@" {closed}', "bash", sys.executable, "-c", MISSING]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode == 0
    assert (tmp_path / "file").read_bytes() == b""


def test_a_full_disk_under_the_log_of_a_job_fails_nothing(tmp_path):
    with full_at(50), _quiet(tmp_path):
        sys.stdout.write("x" * 100 + "\n")
        sys.stderr.write("more\n")
    assert (tmp_path / "marlrun.log").read_text() == "x" * 50
