"""The game that all particle worlds share: reset, step, restart, and the state of it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from marlrun.envs.common.episodes import Episodes
from marlrun.envs.common.render import Mode, Pixels
from marlrun.envs.common.scores import Scores
from marlrun.envs.particle.bodies import Body
from marlrun.envs.particle.physics import RULES, RuleSet
from marlrun.envs.particle.picture import draw_scene
from marlrun.envs.particle.rows import Number, Rows
from marlrun.envs.particle.snapshot import snapshot
from marlrun.envs.particle.symmetry import Kind, choices
from marlrun.envs.particle.world import World
from marlrun.nets.captured import captured
from marlrun.streams import Stream
from marlrun.system import capacity
from marlrun.types import Seeds, Spec, StateDict, Step


class ParticleGame:
    """What is common to all scenarios; each is a class that says the rest.

    A scenario names its bodies, and says what an agent observes (`_observed`), what agents are paid
    and whether the episode has ended before its time (`_outcome`). An agent that speaks chooses one
    of its words, any other agent rest (0) or a push: 1 to 4 are to -x, +x, -y, +y under mpe2's rules,
    to +x, -x, +y, -y under ma_airl's.
    """

    frames_per_second: ClassVar[int] = 10

    def __init__(
        self,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        rules: RuleSet,
        agents: Sequence[Body],
        landmarks: Sequence[Body],
        has_goal: bool = False,
        pairs: Sequence[tuple[int, int]] = (),
        horizon: int | None,
        discount: float,
        continuing: bool = False,
        symmetries: Sequence[Kind] = (),
    ):
        """`pairs` are bodies whose distance the scenario asks for; `horizon` None is the rules' own.

        `symmetries` say what leaves the scenario as it is (`symmetry.choices`).
        """
        self.num_envs = num_envs
        self._title = f"{type(self).__module__.rpartition('.')[2]}, {rules}'s rules"
        rows = Rows(agents, landmarks, has_goal)
        seen = [self._observed(rows, number) for number in range(len(agents))]
        self.spec = Spec(
            num_agents=len(agents),
            agent_names=tuple(agent.name for agent in agents),
            obs_sizes=tuple(map(len, seen)),
            num_actions=tuple(agent.num_actions for agent in agents),
            horizon=RULES[rules].horizon if horizon is None else horizon,
            discount=discount,
            continuing=continuing,
            pays_for="after",
            symmetries=choices(symmetries, rows, agents, seen, RULES[rules]),
        )
        capacity.check_steps(self.spec, len(seeds), num_envs, device)
        self.world = World(
            agents,
            landmarks,
            has_goal=has_goal,
            pairs=pairs,
            rules=RULES[rules],
            copies=len(seeds) * num_envs,
            device=device,
        )
        size = max(self.spec.obs_sizes)
        # What is the same for all agents is seen once.
        views = seen[:1] if all(view == seen[0] for view in seen) else seen
        self._matrix = self.world.matrix(
            [number for view in views for number in [*view, *[{}] * (size - len(view))]]
        )
        self._shape = (len(seeds), num_envs, len(agents), size)
        self._shares = {1: torch.ones(1, len(agents), device=device)}
        self._shares[len(agents)] = torch.eye(len(agents), device=device)
        self._starts = Stream(seeds, "env/start", device)
        self._episodes = Episodes(self._observe(), self.spec.horizon)
        self._scores = Scores(self._episodes)

    @staticmethod
    def settled(keys: Mapping[str, Any]) -> dict[str, Any]:
        """Return a scenario's keys with the rules' own horizon and early end where these are null."""
        rules = RULES[keys["rules"]] if "rules" in keys else None
        blank = [name for name in ("horizon", "early_end") if name in keys and keys[name] is None]
        return {**keys, **{name: getattr(rules, name) for name in blank}}

    def reset(self) -> Step:
        """Begin an episode in every copy: all bodies at rest at random places."""
        self._episodes.tick()
        return self.restart(self._episodes.over)

    def step(self, action: Tensor) -> Step:
        """Play `action` [R, E, N]; a message is seen in the observation of this step."""
        self._episodes.tick()
        reward, *ended = self._play(action)
        obs = self._observe()
        if not ended:
            return self._scores.add(self._episodes.after_endless(obs, reward))
        return self._scores.add(self._episodes.after(obs, reward, *ended))

    def restart(self, step: Step) -> Step:
        """Begin a new episode where `step` is done."""
        if self._episodes.nothing_to_begin(step):
            return step
        self._begin(step.terminated | step.truncated)
        # The observations are exact, so those of the other copies are what they were.
        return self._scores.begin(self._episodes.go_on(step._replace(obs=self._observe())))

    def idle(self) -> None:
        """Count a step in which nobody plays."""
        self._episodes.tick()

    def state_dict(self) -> StateDict:
        """Return all that decides how the game goes on."""
        return {"episodes": self._episodes.state_dict(), "world": self.world.state.clone()}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self._episodes.load_state_dict(state["episodes"])
        self.world.state.copy_(state["world"])
        self.world.measure()
        self._scores.forget()

    def render(self, mode: Mode, replica: int = 0, copy: int = 0) -> str | Pixels:
        """Return a picture or text of one copy; returns so far are kept from the first one on."""
        column, moment = replica * self.num_envs + copy, self._scores.look(replica, copy)
        links = self._links(column)
        return draw_scene(mode, snapshot(self._title, self.world, column, self.spec, moment, links))

    def _observed(self, rows: Rows, agent: int) -> list[Number]:
        """Return the numbers that an agent observes, in order."""
        raise NotImplementedError

    def _outcome(self) -> tuple[Tensor, Tensor | None]:
        """Return what agents are paid for the present state, and where it ends the episode.

        The rewards are [N, M], or [1, M] if all agents are paid the same; the ends are bool [M],
        or None where no state ends an episode.
        """
        raise NotImplementedError

    def _play(self, action: Tensor) -> Sequence[Tensor]:
        """Play `action` [R, E, N]; return the reward [R, E, N] and, if there is an early end, [R, E]."""
        self.world.choose(action.flatten(0, 1))
        return self._moved()

    @captured
    def _moved(self) -> Sequence[Tensor]:
        """Move the world; return what `_play` returns."""
        self.world.move()
        reward, ended = self._outcome()
        if ended is None:
            return [self._per_agent(reward)]
        return [self._per_agent(reward), ended.view(self._shape[:2])]

    def _links(self, column: int) -> Tensor | None:
        """Return who communicates in a copy, bool [N, N]; None where nobody does."""
        return None

    def _begin(self, begins: Tensor) -> None:
        """Place the bodies anew in the copies [R, E] that begin; draw numbers for all copies."""
        num_chances = self.world.num_chances
        chance = self._starts.uniform(self._episodes.steps, self.num_envs, num_chances)
        self.world.begin(begins.flatten(), chance.flatten(0, 1))

    def _observe(self) -> Tensor:
        """Return the observations [R, E, N, O] of the present state."""
        size = self._shape[-1]
        return self.world.seen(self._matrix).view(*self._shape[:2], -1, size).expand(self._shape)

    def _per_agent(self, numbers: Tensor) -> Tensor:
        """Return the copies' numbers [N, M], or [1, M] for all agents, as a tensor [R, E, N]."""
        return (numbers.T @ self._shares[len(numbers)]).view(self._shape[:3])
