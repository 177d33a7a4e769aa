"""Samples as symmetries of the game show them."""

from collections import Counter
from itertools import product

import pytest
import torch
from envs.games import make
from torch.nn.functional import one_hot

from marlrun.data import symmetries
from marlrun.data.symmetries import Symmetries
from marlrun.data.transitions import Transitions
from marlrun.types import Change, Choice, Spec

CPU = torch.device("cpu")


def samples(spec, *seeds, batch=50):
    """Return observations, actions and next observations that differ between replicas."""
    sizes = torch.tensor(spec.num_actions)
    parts = []
    for seed in seeds:
        random = torch.Generator().manual_seed(seed)
        shape = (batch, spec.num_agents, max(spec.obs_sizes))
        obs, next_obs = (torch.rand(shape, generator=random) + 0.1 for _ in range(2))
        chance = torch.rand(shape[:2], generator=random)
        parts.append((obs, (chance * sizes).long(), next_obs))
    return [torch.stack(column) for column in zip(*parts, strict=True)]


def shown(show, counter, parts):
    """Return observations, actions and next observations as symmetries show them."""
    nothing = torch.zeros(parts[1].shape)
    batch = show(counter, Transitions(*parts, nothing.bool(), nothing, None))
    return batch.obs, batch.action, batch.next_obs


def elements(choices, agent, width):
    """Return all compositions as (features, signs, actions) of one agent, in the order of choices."""
    for combination in product(*(choice.elements for choice in choices)):
        features, signs = list(range(width)), [1] * width
        actions = list(range(len(combination[0][agent].actions)))
        for change in (element[agent] for element in combination):
            order = [*change.features, *range(len(change.features), width)]
            factors = [*change.signs, *[1] * (width - len(change.signs))]
            signs = [factors[k] * signs[order[k]] for k in range(width)]
            features = [features[k] for k in order]
            actions = [change.actions[action] for action in actions]
        yield tuple(features), tuple(signs), tuple(actions)


def drawn_elements(spec, choices, before, after, agents=()):
    """Return the number of the element that explains each sample [R, B, N]; all parts must fit."""
    (obs, action, next_obs), (new_obs, new_action, new_next) = before, after
    number = torch.full(action.shape, -1)
    for agent in agents or range(spec.num_agents):
        for index, (features, signs, actions) in enumerate(elements(choices, agent, obs.shape[-1])):
            order, factors = torch.tensor(features), torch.tensor(signs)
            fits = (obs[:, :, agent, order] * factors == new_obs[:, :, agent]).all(-1)
            if not fits.any():
                continue
            assert torch.equal(
                (next_obs[:, :, agent, order] * factors)[fits], new_next[:, :, agent][fits]
            )
            assert torch.equal(
                torch.tensor(actions)[action[:, :, agent]][fits], new_action[:, :, agent][fits]
            )
            number[:, :, agent][fits] = index
    assert (number[:, :, list(agents) or slice(None)] >= 0).all()
    return number


@pytest.mark.parametrize("most", [4096, 7])
def test_each_sample_of_each_agent_is_shown_by_a_uniformly_drawn_element(most, monkeypatch):
    """2 * 3 * 2 * 8 = 96 elements, whether they are composed in advance or applied in turn."""
    monkeypatch.setattr(symmetries, "MOST", most)
    spec = make("spread").spec
    before = samples(spec, 1, 2, batch=4000)
    after = shown(Symmetries(spec, "all", [5, 6], CPU), 0, before)
    number = drawn_elements(spec, spec.symmetries, before, after)
    counts = Counter(number.flatten().tolist())
    expected = number.numel() / 96
    assert len(counts) == 96
    deviation = sum((count - expected) ** 2 / expected for count in counts.values())
    assert deviation < 95 + 4 * (2 * 95) ** 0.5  # chi square, 95 degrees of freedom
    assert not torch.equal(number[:, :, 0], number[:, :, 1])


def test_permutations_leave_the_arena_out_and_change_no_action():
    spec = make("spread", rules="ma_airl").spec
    obs, action, next_obs = samples(spec, 1)
    show = Symmetries(spec, "permutations", [5], CPU)
    new_obs, new_action, _ = shown(show, 3, (obs, action, next_obs))
    assert torch.equal(new_action, action) and not torch.equal(new_obs, obs)
    assert torch.equal(new_obs.sort(-1).values, obs.sort(-1).values)
    assert torch.equal(new_obs[..., :2], obs[..., :2])


def test_joint_elements_are_the_same_for_all_agents():
    spec = make("speaker_listener").spec
    before = samples(spec, 1, batch=300)
    after = shown(Symmetries(spec, "all", [5], CPU, joint=True), 0, before)
    # What the listener is shown tells the element; the speaker's part of it must be shown too.
    (number,) = drawn_elements(spec, spec.symmetries, before, after, agents=[1])[..., 1]
    size = spec.obs_sizes[0]
    speaker = list(elements(spec.symmetries, 0, size))
    assert len(set(number.tolist())) > 100
    for sample, index in enumerate(number.tolist()):
        features, signs, actions = speaker[index]
        for part in (0, 2):
            old, new = before[part][0, sample, 0], after[part][0, sample, 0]
            assert torch.equal(old[list(features)] * torch.tensor(signs), new[:size])
            assert torch.equal(old[size:], new[size:])
        assert after[1][0, sample, 0] == actions[before[1][0, sample, 0]]


def test_a_replica_draws_the_same_alone_and_in_company_and_anew_by_each_counter():
    spec = make("push").spec
    company, alone = samples(spec, 1, 2, 3), samples(spec, 2)
    many = Symmetries(spec, "all", [5, 6, 7], CPU)
    single = Symmetries(spec, "all", [6], CPU)
    for counter in (0, 9):
        of_all, of_one = shown(many, counter, company), shown(single, counter, alone)
        for some, part in zip(of_all, of_one, strict=True):
            assert torch.equal(some[1:2], part)
    assert not torch.equal(shown(many, 0, company)[0], shown(many, 1, company)[0])


@pytest.mark.parametrize("most", [4096, 7])
def test_what_an_agent_may_do_goes_with_its_actions(most, monkeypatch):
    """Where an agent may do nothing but what it did, the same holds of what is shown."""
    monkeypatch.setattr(symmetries, "MOST", most)
    spec = make("speaker_listener").spec  # whose speaker has three actions of the listener's five
    obs, action, next_obs = samples(spec, 1, 2, batch=300)
    nothing, mask = torch.zeros(action.shape), one_hot(action, 5).bool()
    batch = Transitions(obs, action, next_obs, nothing.bool(), nothing, mask)
    after = Symmetries(spec, "all", [5, 6], CPU)(0, batch)
    assert not torch.equal(after.action, action)
    assert torch.equal(after.action_mask, one_hot(after.action, 5).bool())


@pytest.mark.parametrize("most", [4096, 0])
def test_a_sign_goes_with_its_feature_by_hand(most, monkeypatch):
    """(2, 3) has its first feature turned, (-2, 3), and then both exchanged, (3, -2)."""
    monkeypatch.setattr(symmetries, "MOST", most)
    turned, swapped = Change((0, 1), (-1, 1), (0, 1)), Change((1, 0), (1, 1), (1, 0))
    choices = (Choice("turn", ((turned,),), True, True), Choice("swap", ((swapped,),), True, True))
    spec = Spec(1, ("a",), (2,), (2,), 5, 1.0, symmetries=choices)
    obs = torch.tensor([2.0, 3.0]).view(1, 1, 1, 2)
    after = shown(Symmetries(spec, "all", [0], CPU), 0, (obs, torch.zeros(1, 1, 1).long(), obs + 1))
    assert [part.flatten().tolist() for part in after] == [[3.0, -2.0], [1], [4.0, -3.0]]


def test_what_a_game_does_not_have_is_named():
    with pytest.raises(ValueError, match=r"^algo\.symmetries=permutations: expected none or all, "):
        Symmetries(make("speaker_listener").spec, "permutations", [0], CPU)
    with pytest.raises(
        ValueError, match=r"^algo\.symmetries=all: expected none, for the game decl"
    ):
        Symmetries(Spec(1, ("a",), (2,), (2,), 5, 1.0), "all", [0], CPU)
