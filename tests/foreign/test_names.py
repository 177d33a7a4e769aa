"""What a configuration may name as a foreign game, and how everything else is refused."""

import sys

import pytest

from marlrun.envs.pettingzoo.names import Recipe, check_kwargs, resolve

NOT_ALLOWED = [
    "os.system",
    "os:system",
    "mpe2",
    "mpe2.",
    ".simple_spread_v3",
    "mpe2.all_modules",
    "mpe2._mpe_utils.core",
    "mpe2.simple_spread.simple_spread",
    "mpe2.simple_spread_v3.parallel_env",
    "mpe2.simple_spread_v3:raw_env",
    "mpe2.simple_spread_v3:parallel_env.__globals__",
    "mpe2.simple_spread_v3:__builtins__",
    "mpe2.simple_spread_v3\n",
    "mpe2.Simple_Spread_v3",
    "mpe2.simple_spread_v\u0663",
    "mpe2.\u0455imple_spread_v3",
    "mpe2/simple_spread_v3",
    "pettingzoo.utils.conversions",
    "pettingzoo.utils.x_v1",
    "pettingzoo.test.x_v1",
    "pettingzoo.butterfly",
    "pettingzoo.butterfly.x_v1.__builtins__",
    "pettingzoo.butterfly.pistonball.pistonball_v6",
    "pettingzoo.classic.rlcard_envs.texas_holdem_v4",
    "pettingzoo.mpe.simple_spread_v3",
    "mpe2x.simple_spread_v3",
    "foreign.toys:Toy",
]


@pytest.mark.parametrize("name", NOT_ALLOWED)
def test_nothing_else_can_be_named(name, monkeypatch):
    imported = set(sys.modules)
    with pytest.raises(ValueError, match="expected mpe2.NAME_vN or pettingzoo.FAMILY.NAME_vN, or"):
        resolve(name, [])
    fresh = {module for module in set(sys.modules) - imported if "_v" in module}
    assert not fresh, "a name that is refused imports no game"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mpe2.simple_spred_v3", "mpe2 has no such game; did you mean mpe2.simple_spread_v3?"),
        ("mpe2.qqqq_v1", "mpe2 has no such game; it has collect_treasure_v1, simple_adversary_v3"),
        ("simple_spread_v3", "did you mean mpe2.simple_spread_v3?"),
        ("foreign.toys.Toy", "did you mean foreign.toys:Toy?"),
        ("foreign.toys:ParallelEnv", "expected a class or function defined in foreign.toys"),
        ("foreign.toys:np", "expected a class or function defined in foreign.toys"),
        ("foreign.toys:NAMES", "expected a class or function defined in foreign.toys"),
        ("foreign.toys:_hidden", "expected a class or function defined in foreign.toys"),
        ("foreign.toys:missing", "expected a class or function defined in foreign.toys"),
        ("foreign.nowhere:Toy", "foreign.nowhere cannot be imported: ModuleNotFoundError"),
        ("foreign.toys:Toy.step", "expected mpe2.NAME_vN"),
        ("foreign_toys:Toy", "expected mpe2.NAME_vN"),
        ("foreign.toys", "expected mpe2.NAME_vN"),
    ],
)
def test_a_wrong_name_is_one_line_that_helps(name, message):
    with pytest.raises(ValueError) as caught:
        resolve(name, ["foreign"])
    assert str(caught.value).startswith(f"env.id={name}: ") and message in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["mpe2.simple_spread_v3", "mpe2.simple_spread_v3:parallel_env", "mpe2.simple_tag_v3:env"],
)
def test_a_game_of_mpe2_is_found(name):
    module = sys.modules[name.partition(":")[0]] if name in sys.modules else None
    make = resolve(name, [])
    module = sys.modules[name.partition(":")[0]]
    assert make is getattr(module, name.partition(":")[2] or "parallel_env")


def test_a_package_that_is_not_installed_is_named_with_its_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpe2", None)
    with pytest.raises(ValueError, match="mpe2 is not installed; pip install mpe2$"):
        resolve("mpe2.simple_spread_v3", [])


def test_a_library_that_a_game_lacks_is_named_with_its_pip_line(monkeypatch):
    for module in [name for name in sys.modules if name.startswith("pettingzoo.butterfly.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pymunk", None)
    with pytest.raises(ValueError) as caught:
        Recipe("pettingzoo.butterfly.pistonball_v6").build()
    assert "pymunk" in str(caught.value)
    assert str(caught.value).endswith("; pip install 'pettingzoo[butterfly]'")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n": 1, "level": "hard", "sizes": [[1, 2.5], [True, "x"]]}, None),
        ({"map": "../secret"}, "env.kwargs.map=../secret: expected no path"),
        ({"map": "C:\\x"}, "expected no path"),
        ({"map": "~root"}, "expected no path"),
        ({"text": "x" * 5000}, None),
        ({"maps": ["fine", ["/etc/passwd"]]}, "expected no path"),
        ({"map": "here.txt"}, "expected no path and no name of a file"),
        ({"render_mode": "human"}, "env.kwargs.render_mode=human: expected no such key"),
        ({"x": {"y": 1}}, "a finite number, a bool, a str or a list of these"),
        ({"x": None}, "env.kwargs.x=null: expected NAME=VALUE"),
        ({"x y": 1}, "expected NAME=VALUE"),
        ({1: 2}, "env.kwargs.1=2: expected NAME=VALUE"),
    ],
)
def test_keyword_arguments_are_plain_values_that_name_no_file(
    kwargs, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").write_text("")
    if message is None:
        check_kwargs(kwargs)
    else:
        with pytest.raises(ValueError) as caught:
            check_kwargs(kwargs)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("mpe2.simple_spread_v3", {"M": 2}, "cannot be built with env.kwargs.M=2: TypeError: "),
        ("mpe2.simple_spread_v3", {"local_ratio": 7}, "env.kwargs.local_ratio=7: AssertionError: "),
        ("pettingzoo.classic.tictactoe_v3", {}, "its agents take turns (it is an AECEnv"),
        ("foreign.toys:turn_based", {}, "its agents take turns"),
        ("foreign.toys:no_game", {}, "made a dict, expected a ParallelEnv of PettingZoo"),
    ],
)
def test_what_is_no_game_of_ours_is_refused(name, kwargs, message):
    with pytest.raises(ValueError) as caught:
        Recipe(name, kwargs, ("foreign",)).build()
    assert str(caught.value).startswith(f"env.id={name}: ") and message in str(caught.value)


def test_agents_of_an_aec_game_that_act_at_once_are_a_parallel_game():
    game = Recipe("foreign.toys:in_turn", {}, ("foreign",)).build()
    assert set(game.reset(seed=0)[0]) == {"ann", "bob", "cat"}
