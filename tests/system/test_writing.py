import errno
import fcntl
import os

import pytest

from marlrun.system import output, writing


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_what_grows_is_not_opened_through_a_link(tmp_path):
    mine = written(tmp_path / "mine", "mine")
    (tmp_path / "log").symlink_to(mine)
    with pytest.raises(OSError, match="symbolic links"):
        writing.appending(tmp_path / "log")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="expected a regular file"):
        writing.appending(tmp_path / "pipe")
    assert mine.read_text() == "mine"


def test_a_file_with_another_name_grows_alone_once_it_is_separated(tmp_path):
    mine = written(tmp_path / "mine", "old ")
    os.link(mine, tmp_path / "log")
    assert writing.separate(tmp_path / "log") and not writing.separate(tmp_path / "log")
    with writing.appending(tmp_path / "log") as file:
        file.write(b"new")
    assert (mine.read_text(), (tmp_path / "log").read_text()) == ("old ", "old new")
    assert not writing.separate(tmp_path / "nothing")


def test_a_second_name_takes_no_lock_away(tmp_path):
    with writing.exclusive(tmp_path / "lock"):
        os.link(tmp_path / "lock", tmp_path / "backup")
        with pytest.raises(BlockingIOError), writing.exclusive(tmp_path / "lock", wait=False):
            pass


def test_a_full_disk_leaves_what_was_there_and_no_half_file(tmp_path):
    def fill(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = written(tmp_path / "report.html", "whole")
    with pytest.raises(OSError, match="No space left"):
        writing.write_atomically(path, fill)
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "whole"


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
def test_a_lock_that_somebody_holds_is_told(tmp_path, monkeypatch, number):
    def refuse(file, how):
        raise OSError(number, "taken")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(BlockingIOError), writing.exclusive(tmp_path / "lock", wait=False):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_told_once_and_used(tmp_path, monkeypatch, capsys, number):
    def refuse(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(output, "_SAID", set())
    for _ in range(3):
        with writing.exclusive(tmp_path / "lock", wait=False):
            pass
    said = capsys.readouterr().err
    assert said.count("no locks on this file system") == 1 and os.strerror(number) in said


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    def fail(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = written(tmp_path / "run.json", "before")
    with pytest.raises(OSError) as failure:
        writing.write_atomically(path, fail)
    assert str(failure.value) == f"[Errno {errno.ENOSPC}] No space left on device: '{path}'"
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
