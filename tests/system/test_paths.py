import errno
import os
import pwd

import pytest

from marlrun.system import paths


def test_a_pipe_is_no_file_of_a_directory_that_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(ValueError, match=r"run\.json: expected a regular file or a directory"):
        paths.refuse_links(tmp_path, ["run.json"])


def test_links_below_a_directory_are_refused_by_name_but_not_the_directory_itself(tmp_path):
    top, outside = tmp_path / "run", tmp_path / "outside"
    (top / "tb" / "seed_0").mkdir(parents=True)
    outside.mkdir()
    link = tmp_path / "latest"
    link.symlink_to(top)
    paths.refuse_links(link, ["tb", "checkpoints"])
    (top / "notes").symlink_to(outside)
    paths.refuse_links(link, ["tb", "checkpoints"])
    (top / "tb" / "seed_0" / "events").symlink_to(outside / "nothing there")
    with pytest.raises(ValueError, match=r"latest/tb/seed_0/events is a link"):
        paths.refuse_links(link, ["tb", "checkpoints"])


def test_the_home_directory_stands_in_for_a_leading_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.expand_home("~") == str(tmp_path)
    assert paths.expand_home("~/a b/~c") == f"{tmp_path}/a b/~c"
    user = pwd.getpwuid(os.getuid())
    assert paths.expand_home(f"~{user.pw_name}/x") == f"{user.pw_dir}/x"
    for path in ("", ".", "a/~", "./~/a", "/~"):
        assert paths.expand_home(path) == path
    with pytest.raises(ValueError, match=r"^out=~nobody-here: ~nobody-here has no home directory"):
        paths.expand_home("~nobody-here", "out")


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, OSError), (errno.EDQUOT, OSError), (errno.EROFS, ValueError)],
)
def test_a_full_disk_is_not_the_fault_of_the_name(tmp_path, monkeypatch, number, kind):
    def mkdir(path, *_, **__):
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(paths.Path, "mkdir", mkdir)
        with pytest.raises((OSError, ValueError)) as refusal:
            paths.make_directory(tmp_path / "new", "hydra.run.dir")
    assert type(refusal.value) is kind
    assert os.strerror(number) in str(refusal.value) and str(tmp_path / "new") in str(refusal.value)
    assert list(tmp_path.iterdir()) == []
    made = paths.make_directory(tmp_path / "new" / "er", "hydra.run.dir")
    assert made == [tmp_path / "new" / "er", tmp_path / "new"]
    assert paths.make_directory(tmp_path / "new" / "er", "hydra.run.dir") == []


def test_a_directory_that_cannot_be_looked_at_is_not_called_missing(tmp_path, monkeypatch):
    assert paths.is_directory(tmp_path) and not paths.is_directory(tmp_path / "nothing")
    assert not paths.is_directory(tmp_path / ("a" * 300))

    def fail(path, **options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "stat", fail)
    with pytest.raises(OSError, match="Input/output error"):
        paths.is_directory(tmp_path)
