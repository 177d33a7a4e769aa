"""A learner whose agents communicate."""

from runner.fakes import Bandit


class Talkers(Bandit):
    """A bandit that mixes its values every tick."""

    def __init__(self, spec, seeds, device, *, num_envs, graph, **keys):
        super().__init__(spec, seeds, device, num_envs=num_envs, **keys)
        self.graph = graph
        assert (graph.num_agents, graph.num_replicas) == (spec.num_agents, len(seeds))

    def update(self):
        metrics = super().update()
        self.values = self.graph.draw()(self.values)
        return metrics

    def state_dict(self):
        return super().state_dict() | {"graph": self.graph.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.graph.load_state_dict(state["graph"])
