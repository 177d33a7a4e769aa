import errno
import fcntl
import os
import pwd

import pytest

from marlrun.system import files, output

NOT_DOCUMENTS = {
    "deep lists": ("[" * 200_000, "nested too deeply"),
    "deep objects": ('{"a": ' * 100 + "1" + "}" * 100, "nested too deeply"),
    "half a document": ('{"a": ', "is not JSON"),
    "a huge integer": ("1" * 5000, "is not JSON"),
    "Latin 1": ('"\xe4"'.encode("latin-1"), "expected UTF-8, byte 1 is none"),
}
LAUGHS = "\n".join(
    ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))]
)
MERGES = "a0: &a0 {x: 1}\n" + "\n".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 10)
)


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("kind", NOT_DOCUMENTS)
def test_what_is_no_json_document_is_named(tmp_path, kind):
    content, expected = NOT_DOCUMENTS[kind]
    path = written(tmp_path / "run.json", content)
    with pytest.raises(ValueError, match=expected) as refusal:
        files.read_json(path)
    assert str(refusal.value).startswith(str(path)) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[" * 200_000, "nested too deeply"),
        ("a: &a [*a]", "at most 200000 values"),
        (LAUGHS, "at most 200000 values"),
        (MERGES, "expected at most 20 aliases beside merge keys <<"),
        ("a: !!python/object/apply:os.getcwd []", "is not plain YAML: the tag tag:yaml.org,2002:p"),
        ("a: !!bool x", "is not plain YAML: the tag tag:yaml.org,2002:bool"),
        ("a: !!timestamp x", "is not plain YAML: the tag tag:yaml.org,2002:timestamp"),
        ("a: [", "is not plain YAML"),
        (b"\xff\xfe", "expected UTF-8"),
    ],
)
def test_what_is_no_plain_yaml_is_named(tmp_path, content, expected):
    path = written(tmp_path / "config.yaml", content)
    with pytest.raises(ValueError, match=expected) as refusal:
        files.read_yaml(path)
    assert str(refusal.value).startswith(str(path)) and "\n" not in str(refusal.value)


def test_documents_of_a_usual_depth_are_read(tmp_path):
    text = "[" * files.DEEPEST + "]" * files.DEEPEST
    path = written(tmp_path / "a", text)
    assert str(files.read_json(path)) == str(files.read_yaml(path)) == text
    for read in (files.read_json, files.read_yaml):
        with pytest.raises(ValueError, match="nested too deeply"):
            read(written(path, f"[{text}]"))
        path.write_text(text)
    assert files.read_yaml(written(path, "a: &a [1, 2]\nb: *a")) == {"a": [1, 2], "b": [1, 2]}
    assert files.read_yaml(written(path, 'a: "<<"\n"<<": b')) == {"a": "<<", "<<": "b"}


def test_a_pipe_is_refused_and_does_not_keep_us_waiting(tmp_path):
    path = tmp_path / "run.json"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="expected a regular file"):
        files.read_json(path)
    with pytest.raises(ValueError, match=r"run\.json: expected a regular file or a directory"):
        files.refuse_links(tmp_path, ["run.json"])


def test_a_file_beyond_the_limit_is_refused(tmp_path):
    path = written(tmp_path / "a", "12345")
    assert files.read_text(path, limit=5) == "12345"
    with pytest.raises(ValueError, match="5 bytes, expected at most 4"):
        files.read_text(path, limit=4)


def test_links_below_a_directory_are_refused_by_name_but_not_the_directory_itself(tmp_path):
    top, outside = tmp_path / "run", tmp_path / "outside"
    (top / "tb" / "seed_0").mkdir(parents=True)
    outside.mkdir()
    link = tmp_path / "latest"
    link.symlink_to(top)
    files.refuse_links(link, ["tb", "checkpoints"])
    (top / "notes").symlink_to(outside)
    files.refuse_links(link, ["tb", "checkpoints"])
    (top / "tb" / "seed_0" / "events").symlink_to(outside / "nothing there")
    with pytest.raises(ValueError, match=r"latest/tb/seed_0/events is a link"):
        files.refuse_links(link, ["tb", "checkpoints"])


def test_what_grows_is_not_opened_through_a_link(tmp_path):
    mine = written(tmp_path / "mine", "mine")
    (tmp_path / "log").symlink_to(mine)
    with pytest.raises(OSError, match="symbolic links"):
        files.appending(tmp_path / "log")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="expected a regular file"):
        files.appending(tmp_path / "pipe")
    assert mine.read_text() == "mine"


def test_a_file_with_another_name_grows_alone_once_it_is_separated(tmp_path):
    mine = written(tmp_path / "mine", "old ")
    os.link(mine, tmp_path / "log")
    assert files.separate(tmp_path / "log") and not files.separate(tmp_path / "log")
    with files.appending(tmp_path / "log") as file:
        file.write(b"new")
    assert (mine.read_text(), (tmp_path / "log").read_text()) == ("old ", "old new")
    assert not files.separate(tmp_path / "nothing")


def test_a_second_name_takes_no_lock_away(tmp_path):
    with files.exclusive(tmp_path / "lock"):
        os.link(tmp_path / "lock", tmp_path / "backup")
        with pytest.raises(BlockingIOError), files.exclusive(tmp_path / "lock", wait=False):
            pass


def test_a_few_merge_keys_are_plain(tmp_path):
    text = "a: &a {x: 1}\nb: {<<: *a, y: 2}"
    assert files.read_yaml(written(tmp_path / "a", text))["b"] == {"x": 1, "y": 2}


def test_a_full_disk_leaves_what_was_there_and_no_half_file(tmp_path):
    def fill(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = written(tmp_path / "report.html", "whole")
    with pytest.raises(OSError, match="No space left"):
        files.write_atomically(path, fill)
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "whole"


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
def test_a_lock_that_somebody_holds_is_told(tmp_path, monkeypatch, number):
    def refuse(file, how):
        raise OSError(number, "taken")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(BlockingIOError), files.exclusive(tmp_path / "lock", wait=False):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_told_once_and_used(tmp_path, monkeypatch, capsys, number):
    def refuse(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(output, "_SAID", set())
    for _ in range(3):
        with files.exclusive(tmp_path / "lock", wait=False):
            pass
    said = capsys.readouterr().err
    assert said.count("no locks on this file system") == 1 and os.strerror(number) in said


def test_the_home_directory_stands_in_for_a_leading_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.expand_home("~") == str(tmp_path)
    assert files.expand_home("~/a b/~c") == f"{tmp_path}/a b/~c"
    user = pwd.getpwuid(os.getuid())
    assert files.expand_home(f"~{user.pw_name}/x") == f"{user.pw_dir}/x"
    for path in ("", ".", "a/~", "./~/a", "/~"):
        assert files.expand_home(path) == path
    with pytest.raises(ValueError, match=r"^out=~nobody-here: ~nobody-here has no home directory"):
        files.expand_home("~nobody-here", "out")


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    def fail(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = written(tmp_path / "run.json", "before")
    with pytest.raises(OSError) as failure:
        files.write_atomically(path, fail)
    assert str(failure.value) == f"[Errno {errno.ENOSPC}] No space left on device: '{path}'"
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, OSError), (errno.EDQUOT, OSError), (errno.EROFS, ValueError)],
)
def test_a_full_disk_is_not_the_fault_of_the_name(tmp_path, monkeypatch, number, kind):
    def mkdir(path, *_, **__):
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(files.Path, "mkdir", mkdir)
        with pytest.raises((OSError, ValueError)) as refusal:
            files.make_directory(tmp_path / "new", "hydra.run.dir")
    assert type(refusal.value) is kind
    assert os.strerror(number) in str(refusal.value) and str(tmp_path / "new") in str(refusal.value)
    assert list(tmp_path.iterdir()) == []
    made = files.make_directory(tmp_path / "new" / "er", "hydra.run.dir")
    assert made == [tmp_path / "new" / "er", tmp_path / "new"]
    assert files.make_directory(tmp_path / "new" / "er", "hydra.run.dir") == []


def test_a_directory_that_cannot_be_looked_at_is_not_called_missing(tmp_path, monkeypatch):
    assert files.is_directory(tmp_path) and not files.is_directory(tmp_path / "nothing")
    assert not files.is_directory(tmp_path / ("a" * 300))

    def fail(path, **options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "stat", fail)
    with pytest.raises(OSError, match="Input/output error"):
        files.is_directory(tmp_path)
