"""A file of demonstrations: what is written is read, and what is damaged is refused."""

import io
import json
import re
import zipfile
from hashlib import sha256

import numpy as np
import pytest
import torch

from marlrun.data import archive
from marlrun.data.demonstrations import Episode, read, read_card, write

CARD = {
    "agents": ["a", "b"],
    "obs_sizes": [3, 2],
    "num_actions": [2, 5],
    "env": {"_target_": "marlrun.envs.matrix_game.MatrixGame"},
}


def episode(start: int, length: int, **ends) -> Episode:
    """Return an episode whose every observation is another number."""
    obs = torch.arange(start, start + length + 1).float()[:, None, None].expand(-1, 2, 3)
    action = torch.tensor([[0, 4]]).expand(length, -1)
    reward = -obs[1:, :, 0]
    return Episode(obs, action, reward, **({"terminated": False, "truncated": False} | ends))


TWO = [episode(0, 2, terminated=True), episode(10, 3, truncated=True)]


def content(episodes=TWO, **changes) -> bytes:
    file = io.BytesIO()
    write(file, CARD | changes, episodes)
    return file.getvalue()


def test_what_is_written_is_read():
    demonstrations = read(content())
    assert demonstrations.obs[:, 0, 0].tolist() == [0, 1, 10, 11, 12]
    assert demonstrations.next_obs[:, 0, 0].tolist() == [1, 2, 11, 12, 13]
    assert demonstrations.reward[:, 1].tolist() == [-1, -2, -11, -12, -13]
    assert demonstrations.action.tolist() == [[0, 4]] * 5
    assert demonstrations.first.int().tolist() == [1, 0, 1, 0, 0]
    assert demonstrations.episode.tolist() == [0, 0, 1, 1, 1]
    assert demonstrations.terminated.int().tolist() == [0, 1, 0, 0, 0]
    assert demonstrations.truncated.int().tolist() == [0, 0, 0, 0, 1]
    assert demonstrations.card["episodes"] == demonstrations.num_episodes == 2


def test_a_time_limit_ends_no_transition():
    transitions = read(content()).transitions(torch.device("cpu"))
    assert transitions.obs.shape == transitions.next_obs.shape == (1, 5, 2, 3)
    assert transitions.terminated[0].int().tolist() == [[0, 0], [1, 1], [0, 0], [0, 0], [0, 0]]
    assert transitions.counts.eq(1).all() and transitions.counts.shape == (1, 5, 2)
    assert transitions.action.dtype == torch.int64 and transitions.action_mask is None


def test_the_transition_in_which_an_agent_leaves_is_its_last():
    alive = torch.tensor([[1, 1], [1, 0], [1, 0]]).bool()
    mask = torch.ones(2, 2, 5).bool()
    leaving = TWO[0]._replace(alive=alive, action_mask=mask)
    transitions = read(content([leaving])).transitions(torch.device("cpu"))
    assert transitions.terminated[0].int().tolist() == [[0, 1], [1, 1]]
    assert transitions.counts[0].tolist() == [[1, 1], [1, 0]]
    assert transitions.action_mask.shape == (1, 2, 2, 5)


def test_the_first_episodes_alone():
    two = read(content())
    assert two.beginning(None) is two.beginning(2) is two
    one = two.beginning(1)
    assert one.num_episodes == 1 and one.next_obs[:, 0, 0].tolist() == [1, 2]


def test_the_file_is_plain(tmp_path):
    """Other programs read it: a zip file of a card and of arrays without pickles."""
    path = tmp_path / "two.npz"
    path.write_bytes(content())
    arrays = np.load(path, allow_pickle=False)
    assert arrays["obs"].shape == (7, 2, 3) and arrays["action"].dtype == np.uint8
    with zipfile.ZipFile(path) as file:
        card = json.loads(file.read("card.json"))
        hashes = {name: sha256(file.read(name)).hexdigest() for name in card["sha256"]}
    assert hashes == card["sha256"] and card == read_card(path) == read(str(path)).card
    assert set(hashes) == {f"{name}.npy" for name in arrays.files if name != "card.json"}


def test_the_same_demonstrations_are_the_same_bytes():
    assert content() == content() != content(num_actions=[3, 5])


def test_what_could_not_be_read_is_not_written():
    nan = TWO[0]._replace(reward=torch.full((2, 2), torch.nan))
    cut = TWO[1]._replace(truncated=False)
    for episodes, expected in (
        ([nan], "reward.npy holds nan or inf"),
        ([cut], "an episode is neither terminated nor truncated"),
    ):
        file = io.BytesIO()
        with pytest.raises(ValueError, match=expected):
            write(file, CARD, episodes)
        assert file.getvalue() == b""


def refusal(source) -> str:
    with pytest.raises(ValueError) as caught:
        read(source)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("demonstrations: expected demonstrations: ")


def rezipped(change=None, compression=zipfile.ZIP_STORED, **members) -> bytes:
    """Return the file with other members, of which None is left out, and a changed card."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content())) as old, zipfile.ZipFile(file, "w") as new:
        parts = {name.removesuffix(".npy"): old.read(name) for name in old.namelist()} | members
        card = json.loads(parts.pop("card.json"))
        if change is not None:
            change(card)
        for name, part in parts.items():
            if part is not None:
                new.writestr(f"{name}.npy", part, compression)
        new.writestr("card.json", json.dumps(card))
    return file.getvalue()


def npy(array, **keys) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **keys)
    return file.getvalue()


def with_array(name, array, **keys) -> bytes:
    """Return the file with another array, whose hash its card tells rightly."""
    data = npy(array, **keys)
    digest = sha256(data).hexdigest()
    return rezipped(lambda card: card["sha256"].update({f"{name}.npy": digest}), **{name: data})


def test_every_flipped_byte_of_a_member_is_noticed():
    good = content()
    with zipfile.ZipFile(io.BytesIO(good)) as file:
        ends = {
            part.filename: part.header_offset + 30 + len(part.filename) for part in file.filelist
        }
        sizes = {part.filename: part.file_size for part in file.filelist}
    for name, start in ends.items():
        for place in (start, start + sizes[name] // 2, start + sizes[name] - 1):
            damaged = bytearray(good)
            damaged[place] ^= 1
            assert refusal(bytes(damaged)).startswith("it is damaged, or no zip file: Bad CRC-32")


def test_a_directory_of_members_that_points_nowhere_is_damage(tmp_path):
    damaged = bytearray(content())
    end = damaged.rfind(b"PK\x05\x06")
    damaged[end + 16 : end + 20] = b"\xff" * 4
    (tmp_path / "damaged").write_bytes(damaged)
    with pytest.raises(ValueError, match="it is damaged, or no zip file"):
        read(tmp_path / "damaged")


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused(kept):
    good = content()
    cut = good[: kept if isinstance(kept, int) else int(kept * len(good))]
    assert refusal(cut) == "it is damaged, or no zip file: File is not a zip file"


def test_what_a_mask_forbids_is_not_demonstrated():
    """Of who has left, nothing is asked."""
    mask = torch.ones(3, 2, 5).bool()
    mask[1, 1, 4] = False
    stays = TWO[1]._replace(action_mask=mask)
    expected = "action.npy: b takes an action that action_mask.npy forbids"
    with pytest.raises(ValueError, match=expected):
        content([stays])
    alive = torch.tensor([[1, 1], [1, 0], [1, 0], [1, 0]]).bool()
    assert len(read(content([stays._replace(alive=alive)])).action) == 3


NAN = np.full((7, 2, 3), np.nan, np.float32)
CASES = {
    "no hash": (
        rezipped(lambda card: card.pop("sha256")),
        "obs.npy has the hash .*, the card has none",
    ),
    "wrong hash": (
        rezipped(lambda card: card["sha256"].update({"action.npy": "0" * 64})),
        "action.npy has the hash .*, the card has 000000000000..",
    ),
    "other numbers": (rezipped(obs=npy(NAN * 0)), "obs.npy has the hash "),
    "nan": (with_array("obs", NAN), "obs.npy holds nan or inf, expected finite numbers"),
    "pickle": (
        with_array("reward", np.array([[{}] * 2] * 5), allow_pickle=True),
        "reward.npy holds a pickle, which is never read",
    ),
    "other type": (
        with_array("reward", np.zeros((5, 2))),
        "reward.npy holds float64 [5, 2], expected float32 [5, 2] by its card",
    ),
    "other shape": (
        with_array("reward", np.zeros((2, 5), np.float32)),
        "reward.npy holds float32 [2, 5], expected float32 [5, 2] by its card",
    ),
    "columns first": (
        with_array("reward", np.zeros((2, 5), np.float32).T),
        "reward.npy is no array: expected rows first, its columns are",
    ),
    "too large": (
        rezipped(length=b"\0" * 5000),
        "length.npy takes 5000 bytes, expected at most 4104",
    ),
    "no array": (rezipped(length=b"abc"), "length.npy is no array: "),
    "missing": (rezipped(action=None), "there is no action.npy in it"),
    "compressed": (
        rezipped(compression=zipfile.ZIP_DEFLATED),
        "it is compressed, expected a zip file that only stores",
    ),
    "action": (
        with_array("action", np.full((5, 2), 4, np.uint8)),
        "action.npy: a takes action 4 of 2",
    ),
    "lengths": (
        with_array("length", np.array([5, 0], np.int32)),
        "length.npy: expected lengths from 1 on whose sum is 5",
    ),
    "cut": (
        with_array("truncated", np.zeros(2, bool)),
        "an episode is neither terminated nor truncated, expected whole ones",
    ),
    "format": (
        rezipped(lambda card: card.update(format=2)),
        "its card has the format 2, not 'marlrun demonstrations 1'",
    ),
    "steps": (
        rezipped(lambda card: card.update(steps="5")),
        "its card has steps '5', not int [1, inf)",
    ),
    "agents": (
        rezipped(lambda card: card.update(agents=["a"])),
        "its card has other numbers of agents, obs_sizes and num_actions",
    ),
}


@pytest.mark.parametrize(("source", "expected"), CASES.values(), ids=CASES)
def test_what_does_not_fit_is_refused(source, expected):
    assert re.match(re.escape(expected).replace(r"\.\*", ".*"), refusal(source))


def test_other_files_are_refused_by_name(tmp_path):
    arrays = tmp_path / "arrays.npz"
    np.savez(arrays, obs=np.zeros(3))
    assert refusal(arrays) == f"{arrays}: expected demonstrations: there is no card.json in it"
    text = tmp_path / "text"
    text.write_text("obs, action\n")
    assert refusal(str(text)).endswith("it is damaged, or no zip file: File is not a zip file")
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(OSError):
            read(path)


def test_a_card_is_an_object_of_moderate_size():
    for text, expected in (
        ("[]", "card.json is damaged: expected an object"),
        ("{", "card.json is damaged: "),
        ("[" * 100_000, "card.json is damaged: maximum recursion depth"),
        (" " * (1 << 20) + "{}", "card.json takes 1048578 bytes, expected at most 1048576"),
    ):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as parts:
            parts.writestr(archive.CARD, text)
        assert refusal(file.getvalue()).startswith(expected)
