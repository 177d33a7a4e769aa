"""A foreign game as an environment: the numbers of the game itself, in the shapes of types.Step."""

import importlib
import warnings

import numpy as np
import pytest
import torch
from foreign.playing import CPU, actions_at, make, play, same

from marlrun.envs.pettingzoo.adapter import Adapter
from marlrun.runner.promises import check_step
from marlrun.streams import derive
from marlrun.system.errors import PlayError


def by_hand(name, seed, copy, episodes, env, **kwargs):
    """Yield observations and rewards of the game itself, after every reset and step of a copy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        game = importlib.import_module(name).parallel_env(**kwargs)
        time = 0
        for episode in range(episodes):
            observations, _ = game.reset(seed=derive(seed, f"pettingzoo/{copy}/{episode}") >> 32)
            yield observations, {}
            while game.agents:
                actions = actions_at(env, time)[env._seeds.index(seed), copy].tolist()
                joint = {
                    agent: action
                    for agent, action in zip(game.possible_agents, actions, strict=True)
                    if agent in game.agents
                }
                observations, rewards, *_ = game.step(joint)
                time += 1
                yield observations, rewards


@pytest.mark.parametrize(
    ("name", "kwargs", "steps"),
    [
        ("mpe2.simple_spread_v3", {"max_cycles": 6}, 12),
        ("mpe2.simple_speaker_listener_v4", {"max_cycles": 6}, 12),
        ("pettingzoo.sisl.pursuit_v5", {"max_cycles": 4, "n_pursuers": 2}, 8),
        ("pettingzoo.classic.rps_v2", {"max_cycles": 3}, 9),
    ],
)
def test_numbers_are_those_of_the_game_itself(name, kwargs, steps):
    env = make(name, seeds=(3, 8), num_envs=2, kwargs=kwargs)
    seen = play(env, steps)
    shown = [seen[0]]
    for after, begun in zip(seen[1::2], seen[2::2], strict=True):
        shown += [after, begun] if after.done.all() else [after]
    episodes = steps // kwargs["max_cycles"]
    shown.pop()  # the beginning of one more
    for replica, seed in enumerate((3, 8)):
        for copy in range(2):
            expected = by_hand(name, seed, copy, episodes, env, **kwargs)
            for step, (observations, rewards) in zip(shown, expected, strict=True):
                for i, agent in enumerate(env.spec.agent_names):
                    row = np.zeros(step.obs.shape[-1], np.float32)
                    observed = observations[agent]
                    if name.endswith("rps_v2"):
                        row[observed] = 1
                    else:
                        row[: env.spec.obs_sizes[i]] = np.asarray(observed, np.float32).ravel()
                    assert np.array_equal(step.obs[replica, copy, i].numpy(), row)
                    reward = np.float32(rewards.get(agent, 0))
                    assert step.reward[replica, copy, i].item() == reward


def test_agents_of_knights_archers_zombies_leave_and_are_paid_nothing_after():
    env = make(
        "pettingzoo.butterfly.knights_archers_zombies_v11",
        num_envs=2,
        horizon=400,
    )
    step, left, ends = env.reset(), 0, 0
    assert step.alive.all()
    for time in range(400):
        after = env.step(actions_at(env, time))
        gone = ~step.alive
        assert not (after.alive & gone).any() and not after.reward[gone].any()
        assert not after.obs[gone].any()
        left += int((step.alive & ~after.alive & ~after.done.unsqueeze(-1)).sum())
        ends += int(after.terminated.sum())
        step = env.restart(after)
    assert left and ends


def test_every_step_has_the_shapes_of_a_step():
    for name in ("Toy", "Unequal", "Masked", "MaskedByInfos", "in_turn"):
        env = make(name, seeds=(0, 1), num_envs=3, state=True)
        for step in play(env, 12):
            check_step(step, env.spec, 2, 3, name)
        assert step.state.tolist()[0][0] == [3, 3]


def test_unequal_agents_are_padded_and_numbers_of_a_discrete_space_are_one_hot():
    env = make("Unequal", kwargs={"ends": [[9, "terminated"]] * 3})
    assert env.spec.obs_sizes == (1, 2, 3) and env.spec.num_actions == (2, 3, 4)
    step = env.reset()
    assert step.obs.tolist() == [[[[1, 0, 0]] * 3]]
    after = env.step(torch.tensor([[[1, 2, 3]]]))
    assert after.obs.tolist() == [[[[1, 0, 0], [0, 1, 0], [0, 1, 0]]]]
    # Its actions begin at 1, and it is paid their number.
    assert torch.equal(after.reward, torch.tensor([[[2, 3.1, 4.2]]]))


@pytest.mark.parametrize("name", ["Masked", "MaskedByInfos"])
def test_masks_come_from_observations_or_from_infos(name):
    env = make(name, kwargs={"ends": [[2, "terminated"], [4, "terminated"], [4, "truncated"]]})
    assert env.spec.has_action_mask and env.spec.obs_sizes == (4, 4, 4)
    masks = [step.action_mask[0, 0].tolist() for step in play(env, 4)[:-1:2]]
    row = [[True, False, False], [False, True, False], [False, False, True]]
    every = [True] * 3
    # After steps 0 to 3: what an agent that has left may do means nothing.
    assert masks == [[row[0]] * 3, [row[1]] * 3, [every, row[2], row[2]], [every, row[0], row[0]]]


def ends(env, steps):
    """Return for each step whether it has terminated, was truncated, and who is alive."""
    seen = play(env, steps)[1::2]
    return [(s.terminated.item(), s.truncated.item(), s.alive[0, 0].int().tolist()) for s in seen]


@pytest.mark.parametrize(
    ("schedule", "last"),
    [
        # All agents terminate at last: so does the task.
        (["terminated", "terminated", "terminated"], (True, False, [0, 0, 0])),
        # Who is truncated in the last step has a future, and is alive to be bootstrapped.
        (["terminated", "terminated", "truncated"], (False, True, [0, 0, 1])),
        (["truncated", "truncated", "truncated"], (False, True, [0, 1, 1])),
        # Who was truncated alone, before, has left.
        (["truncated", "terminated", "terminated"], (True, False, [0, 0, 0])),
    ],
)
def test_mixed_ends(schedule, last):
    """The first agent ends after step 2, the others after step 3."""
    env = make(kwargs={"ends": [[2, schedule[0]], [3, schedule[1]], [3, schedule[2]]]})
    alive = (False, False, [1, 1, 1])
    assert ends(env, 3) == [alive, (False, False, [0, 1, 1]), last]


def test_the_horizon_truncates_a_game_that_goes_on_and_not_one_that_ends_there():
    toy = {"ends": [[3, "terminated"], [5, "terminated"]]}
    assert ends(make(kwargs=toy, horizon=4), 4)[-2:] == [
        (False, False, [0, 1]),
        (False, True, [0, 1]),
    ]
    assert ends(make(kwargs=toy, horizon=5), 5)[-1] == (True, False, [0, 0])


def test_rewards_and_observations_after_leaving_are_zero():
    env = make(kwargs={"ends": [[1, "terminated"], [3, "terminated"]]})
    steps = play(env, 3)[1::2]
    assert [step.reward[0, 0, 0].item() > 0 for step in steps] == [False, False, False]
    assert [step.reward[0, 0, 1].item() > 0 for step in steps] == [True, True, True]
    # In the step in which it leaves an agent is paid, and what it sees last is shown.
    env = make(kwargs={"ends": [[1, "terminated"], [3, "terminated"]]})
    env.reset()
    after = env.step(torch.tensor([[[2, 2]]]))
    assert after.reward.tolist() == [[[2.0, pytest.approx(2.1)]]]
    assert after.obs[0, 0, 0].tolist()[1:3] == [1, 2]
    later = env.step(torch.tensor([[[2, 2]]]))
    assert not later.obs[0, 0, 0].any() and later.reward[0, 0, 0] == 0


def test_a_game_without_leavers_says_so_and_refuses_one_that_leaves():
    env = make(kwargs={"ends": [[3, "terminated"]] * 2}, agents_leave=False)
    assert not env.spec.agents_leave and all(step.alive is None for step in play(env, 6))
    env = make(
        kwargs={"ends": [[3, "terminated"], [2, "truncated"]]}, agents_leave=False, seeds=(4,)
    )
    with pytest.raises(PlayError) as caught:
        play(env, 6)
    assert str(caught.value) == (
        "env.id=foreign.toys:Toy, seed 4, copy 0, episode 1, step 2: bob leaves before the others, "
        "env.agents_leave=false forbids it"
    )


def test_episodes_do_not_depend_on_company_and_none_is_played_twice():
    company = make(seeds=(5, 6), num_envs=3, kwargs={"ends": [[2, "terminated"]] * 2})
    alone = make(seeds=(6,), num_envs=3, kwargs={"ends": [[2, "terminated"]] * 2})
    begun = [play(env, 8)[::4] for env in (company, alone)]
    assert all(torch.equal(a.obs[1], b.obs[0]) for a, b in zip(*begun, strict=True))
    numbers = torch.stack([step.obs[:, :, 0, 0] for step in begun[0]])
    assert len(numbers.unique()) == numbers.numel()
    # A game that goes on elsewhere begins with the next episode.
    other = make(seeds=(5, 6), num_envs=3, kwargs={"ends": [[2, "terminated"]] * 2})
    other.load_state_dict(company.state_dict())
    assert not torch.isin(other.reset().obs[:, :, 0, 0], numbers).any()


def test_only_copies_that_are_done_begin_anew():
    env = make(num_envs=2, kwargs={"ends": [[3, "terminated"]] * 2}, seeds=(0, 1))
    env.reset()
    after = env.step(actions_at(env, 0))
    assert env.restart(after) is after
    done = after._replace(terminated=torch.tensor([[False, True], [False, False]]))
    begun = env.restart(done)
    assert begun.first.tolist() == done.terminated.tolist() and not begun.done.any()
    assert not begun.reward[0, 1].any() and torch.equal(begun.reward[1], after.reward[1])
    assert begun.obs[0, 1, 0, 1] == 0 and torch.equal(begun.obs[1], after.obs[1])


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("Crash", {}, "episode 1, step 5: RuntimeError: the first line the last line"),
        ("Returning", {"ends": [[2, "terminated"], [5, "terminated"]]}, "step 3: ann has left and"),
        ("Unpaid", {}, "step 1: bob has acted and gets no reward"),
        ("NothingAllowed", {}, "step 2: ann has an action mask that allows no action"),
        ("PaidNan", {}, "step 1: bob is paid None, expected a finite number"),
        ("SeesTooMuch", {}, "step 1: ann observes inf, expected finite numbers of float32"),
        ("OldStep", {}, "step 1: step returns 4 values, expected observations, rewards, term"),
        ("NoStep", {}, "step 1: step returns one NoneType, expected observations, rewards, term"),
        ("ListOfRewards", {}, "step 1: step returns rewards as list, expected a dict by agent"),
    ],
)
def test_what_a_game_does_wrong_is_named_with_its_place(name, kwargs, message):
    with pytest.raises(PlayError) as caught:
        play(make(name, kwargs=kwargs, seeds=(7,)), 12)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"env.id=foreign.toys:{name}, seed 7, copy 0, ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Continuous",
            "ann has actions Box(-1.0, 1.0, (2,), float32), expected Discrete: no algor",
        ),
        ("ManyDiscrete", "ann observes MultiDiscrete([2 2]), expected Box, Discrete, or Dict(obs"),
        ("FailsAtReset", "reset fails: KeyError: 'no level'"),
        ("Late", "reset fails: bob is absent at reset, expected all possible_agents"),
        ("OldReset", "reset fails: reset returns one dict, expected observations, infos"),
        ("Blind", "ann observes Box([], [], (0,), float32), expected at least one number"),
        ("OtherSize", "reset fails: ann observes an array (5,), its space says (2, 2)"),
    ],
)
def test_a_game_that_no_learner_can_play_is_refused_before_work(name, message):
    with pytest.raises(ValueError) as caught:
        make(name)
    assert f"env.id=foreign.toys:{name}: {message}" in str(caught.value)


def test_an_impossible_number_of_copies_is_refused():
    with pytest.raises(ValueError, match=r"env\.num_envs=10000000000 replicas=1: this takes about"):
        make(num_envs=10**10)


def test_a_loud_game_disturbs_nothing(capfd):
    env = make("Loud")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = play(env, 3)
    said = capfd.readouterr()
    assert said.out == "" and said.err.count("a foreign game prints") == 3
    assert same(seen, play(make("Toy"), 3))


def test_the_game_draws_itself_where_it_is_asked_before():
    env = make("Toy", workers=2)
    env.begin_drawing()
    env.reset()
    env.step(torch.zeros(1, 1, 3, dtype=torch.int64))
    picture = env.render("rgb_array")
    assert picture.shape == (4, 6, 3) and picture.dtype == np.uint8 and (picture == 1).all()
    with pytest.raises(ValueError, match="cannot draw itself, expected rgb_array .* got none"):
        make("Undrawn").begin_drawing()


def test_observations_are_on_the_device_that_is_asked_for():
    assert make().reset().obs.device == CPU


@pytest.mark.parametrize("names", [["ann", "ann"], [0, 1], ["", "bob"], ["ann\nbob"], ["\ud800"]])
def test_names_of_agents_are_different_printable_texts(names):
    with pytest.raises(
        ValueError, match="possible_agents are .*, expected different printable texts$"
    ):
        make("Named", kwargs={"names": names})


def test_what_no_memory_holds_is_refused_before_it_is_tried(monkeypatch):
    monkeypatch.setattr(Adapter, "reset", None)
    with pytest.raises(ValueError, match="env.num_envs=100000000 replicas=1: this takes about"):
        make(num_envs=100_000_000)


def test_a_game_that_draws_no_picture_is_named():
    env = make("DrawsNothing")
    env.begin_drawing()
    env.reset()
    with pytest.raises(
        PlayError, match=r"step 0: render returns a NoneType of shape \(\), expected \["
    ):
        env.render("rgb_array")
