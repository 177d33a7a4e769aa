import os

import pytest

from marlrun.system import reading

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
        reading.read_json(path)
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
        reading.read_yaml(path)
    assert str(refusal.value).startswith(str(path)) and "\n" not in str(refusal.value)


def test_documents_of_a_usual_depth_are_read(tmp_path):
    text = "[" * reading.DEEPEST + "]" * reading.DEEPEST
    path = written(tmp_path / "a", text)
    assert str(reading.read_json(path)) == str(reading.read_yaml(path)) == text
    for read in (reading.read_json, reading.read_yaml):
        with pytest.raises(ValueError, match="nested too deeply"):
            read(written(path, f"[{text}]"))
        path.write_text(text)
    assert reading.read_yaml(written(path, "a: &a [1, 2]\nb: *a")) == {"a": [1, 2], "b": [1, 2]}
    assert reading.read_yaml(written(path, 'a: "<<"\n"<<": b')) == {"a": "<<", "<<": "b"}


def test_a_pipe_is_refused_and_does_not_keep_us_waiting(tmp_path):
    path = tmp_path / "run.json"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="expected a regular file"):
        reading.read_json(path)


def test_a_file_beyond_the_limit_is_refused(tmp_path):
    path = written(tmp_path / "a", "12345")
    assert reading.read_text(path, limit=5) == "12345"
    with pytest.raises(ValueError, match="5 bytes, expected at most 4"):
        reading.read_text(path, limit=4)


def test_a_few_merge_keys_are_plain(tmp_path):
    text = "a: &a {x: 1}\nb: {<<: *a, y: 2}"
    assert reading.read_yaml(written(tmp_path / "a", text))["b"] == {"x": 1, "y": 2}
