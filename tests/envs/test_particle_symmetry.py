"""A world whose state is changed by a symmetry goes on as its symmetries say, element by element."""

from itertools import product

import pytest
import torch
from envs.games import GAMES, make

from marlrun.types import Change

COPIES = 64
GAMES_WITH_SYMMETRIES = [
    (name, {"rules": rules})
    for name, rules in product(("spread", "speaker_listener", "push"), ("mpe2", "ma_airl"))
] + [("spread", {"num_agents": 4, "local_ratio": 0.3, "mass": 2.0, "max_speed": 0.8})]


def crowded(name, **changes):
    """Return a game whose bodies are near each other, moving, and have said a word."""
    env = make(name, num_envs=COPIES, **changes)
    env.reset()
    world = env.world
    world.position *= 0.3
    chance = torch.rand(world.velocity.shape, generator=torch.Generator().manual_seed(1))
    world.velocity.copy_(2 * chance - 1)
    if len(world.words):
        world.words.copy_(torch.eye(len(world.words))[:, torch.arange(COPIES) % len(world.words)])
    world.measure()
    return env


def applied(changes, obs, action):
    """Apply an element to obs [R, E, N, O] and action [R, E, N], number by number."""
    obs, action = obs.clone(), action.clone()
    old_obs, old_action = obs.clone(), action.clone()
    for agent, change in enumerate(changes):
        for k, (feature, sign) in enumerate(zip(change.features, change.signs, strict=True)):
            obs[..., agent, k] = sign * old_obs[..., agent, feature]
        action[..., agent] = torch.tensor(change.actions)[old_action[..., agent]]
    return obs, action


def swap(tensor, dim, one, other):
    order = list(range(tensor.shape[dim]))
    order[one], order[other] = other, one
    tensor.copy_(tensor.index_select(dim, torch.tensor(order)))


def swap_landmarks(world, one, other):
    swap(world.position, 1, *(len(world.agents) + index for index in (one, other)))
    if len(world.marks):
        swap(world.marks, 0, one, other)


def swap_words(world, one, other):
    swap(world.words, 0, one, other)


def swap_agents(world, one, other):
    swap(world.position, 1, one, other)
    swap(world.velocity, 1, one, other)


def move_arena(world, turned, x_sign, y_sign):
    for vectors in (world.position, world.velocity):
        x, y = vectors.clone().flip(0) if turned else vectors.clone()
        vectors.copy_(torch.stack((x * x_sign, y * y_sign)))


MOTIONS = list(product((False, True), (1, -1), (1, -1)))


def motions_of(choice):
    """Return what each element does to the world."""
    count = len(choice.elements)
    if choice.name == "arena":
        return [lambda world, m=motion: move_arena(world, *m) for motion in MOTIONS]
    exchange = {"landmarks": swap_landmarks, "words": swap_words}[choice.name]
    pairs = [(count - 1, earlier) for earlier in range(count - 1)]
    return [lambda world: None] + [lambda world, p=pair: exchange(world, *p) for pair in pairs]


def assert_symmetric(element, motion, name, changes, agents=slice(None), other_actions=None):
    """A moved world, stepped by changed actions, shows changed observations and the same rewards."""
    plain, moved = crowded(name, **changes), crowded(name, **changes)
    motion(moved.world)
    moved.world.measure()
    sizes = torch.tensor(plain.spec.num_actions)
    chance = torch.rand(1, COPIES, len(sizes), generator=torch.Generator().manual_seed(2))
    action = (chance * sizes).long()
    before, moved_action = applied(element, plain._observe(), action)
    if other_actions is not None:
        moved_action = other_actions(moved_action)
    torch.testing.assert_close(moved._observe()[:, :, agents], before[:, :, agents])
    after, moved_after = plain.step(action), moved.step(moved_action)
    expected, _ = applied(element, after.obs, action)
    close = {"atol": 2e-4, "rtol": 1e-4}  # contacts are stiff: a rounding grows by 1000
    torch.testing.assert_close(moved_after.obs[:, :, agents], expected[:, :, agents], **close)
    torch.testing.assert_close(moved_after.reward[..., agents], after.reward[..., agents], **close)
    assert torch.equal(moved_after.terminated, after.terminated)


@pytest.mark.parametrize(("name", "changes"), GAMES_WITH_SYMMETRIES)
def test_joint_symmetries_hold_in_the_world(name, changes):
    kinds = set()
    for choice in make(name, **changes).spec.symmetries:
        if choice.joint:
            kinds.add(choice.name)
            for element, motion in zip(choice.elements, motions_of(choice), strict=True):
                assert_symmetric(element, motion, name, changes)
    words = {"words"} if name == "speaker_listener" else set()
    assert kinds == {"landmarks", "arena"} | words


@pytest.mark.parametrize("changes", [{"rules": "mpe2"}, {"rules": "ma_airl"}, {"num_agents": 4}])
def test_the_order_of_the_others_in_the_view_of_one_agent_is_free(changes):
    choices = [x for x in make("spread", **changes).spec.symmetries if x.name == "others"]
    num_agents = make("spread", **changes).spec.num_agents
    assert len(choices) == num_agents - 2
    for (position, choice), agent in product(enumerate(choices, 1), range(num_agents)):
        others = [other for other in range(num_agents) if other != agent]
        for earlier, element in enumerate(choice.elements[1:]):
            pair = others[position], others[earlier]

            def exchanged(action, pair=pair):
                swap(action, 2, *pair)
                return action

            assert_symmetric(
                element,
                lambda world, pair=pair: swap_agents(world, *pair),
                "spread",
                changes,
                slice(agent, agent + 1),
                exchanged,
            )
        assert not choice.joint and choice.alone


def test_the_checks_above_find_what_is_no_symmetry():
    """The listener's landmarks without the speaker's colours; an action that stays under a motion."""
    (choice, *_, arena) = make("speaker_listener").spec.symmetries
    speaker, listener = choice.elements[1]
    stays = Change((0, 1, 2), (1, 1, 1), (0, 1, 2))
    with pytest.raises(AssertionError):
        assert_symmetric(
            (stays, listener), lambda w: swap_landmarks(w, 0, 1), "speaker_listener", {}
        )
    speaker, listener = arena.elements[1]
    still = listener._replace(actions=(0, 1, 2, 3, 4))
    with pytest.raises(AssertionError):
        assert_symmetric(
            (speaker, still), lambda w: move_arena(w, *MOTIONS[1]), "speaker_listener", {}
        )


def test_actions_by_hand():
    """Of y' = -y, and of x' = -y, y' = x: mpe2's action 1 is to -x, ma_airl's to +x."""
    for rules, turned in (("mpe2", [0, 3, 4, 2, 1]), ("ma_airl", [0, 3, 4, 2, 1])):
        arena = make("push", rules=rules).spec.symmetries[-1]
        assert arena.name == "arena"
        reflection, rotation = arena.elements[1][0], arena.elements[6][0]
        assert list(reflection.actions) == [0, 1, 2, 4, 3]
        assert list(rotation.actions) == turned
        assert rotation.features[:2] == (1, 0) and rotation.signs[:2] == (-1, 1)


def test_what_is_exchanged_begins_alike():
    """Bodies that are exchanged are of one kind, so their places at a start have one law."""
    for name, changes in GAMES_WITH_SYMMETRIES:
        env = make(name, **changes)
        bodies = [(body.radius, body.reach, body.mass, body.force) for body in env.world.bodies]
        num_agents = env.spec.num_agents
        assert len(set(bodies[num_agents : env.world.rows.num_placed])) == 1
        if name == "spread":
            assert len(set(bodies[:num_agents])) == 1


def test_renaming_is_not_for_the_view_of_one_agent_where_words_have_a_meaning():
    choices = make("speaker_listener").spec.symmetries
    assert {x.name: x.alone for x in choices} == {"landmarks": False, "words": False, "arena": True}
    assert all(x.alone for x in make("push").spec.symmetries)


def test_other_games_have_none_and_many_bodies_are_not_exchanged():
    for name in set(GAMES) - {"spread", "speaker_listener", "push"}:
        assert make(name).spec.symmetries == ()
    assert [x.name for x in make("spread", num_agents=20).spec.symmetries] == ["arena"]
    assert hash(make("spread").spec) == hash(make("spread").spec)
