"""A job: what a run's configuration says, checked and typed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from marlrun.config.nested import leaves, nested
from marlrun.config.nodes import check_node, node_of
from marlrun.config.older import LATER
from marlrun.config.schema import Rule, declared
from marlrun.config.unit import Unit, unit_of
from marlrun.runner import inputs
from marlrun.runner.build import Kind, Node, is_offline, refuse_hidden_targets, takes_graph
from marlrun.system.reading import InputFile

_USUAL_GRAPH = "erdos_renyi"
_USUAL_ENV_STEPS = 50_000


@dataclass(frozen=True)
class Job:
    """One training job; its budget and its periods are in `unit`."""

    algo: Node
    env: Node
    graph: Node | None
    name: str | None
    seeds: tuple[int, ...]
    env_steps: int | None
    updates: int | None
    device: str
    threads: int
    num_envs: int
    eval_every: int
    eval_episodes: int
    final_episodes: int
    checkpoint_every: int
    checkpoint_keep: int
    checkpoint_best: str
    """The tag whose evaluations select best.pt, or `latest`: none do."""
    log_every: int

    @property
    def unit(self) -> Unit:
        """What the job counts."""
        return unit_of({"updates": self.updates})

    @property
    def is_offline(self) -> bool:
        """Whether the learner has no acting data of its own."""
        return self.unit == "updates"

    @property
    def budget(self) -> int:
        """How far it trains, in its unit."""
        budgets = (self.updates, self.env_steps, _USUAL_ENV_STEPS)
        return next(number for number in budgets if number is not None)

    @property
    def hyperparameters(self) -> Node:
        """What distinguishes this job from others, but for its seeds; files by their copies."""
        values = {
            kind: {key: _with_copy_name(value) for key, value in node.items() if key != "_target_"}
            for kind, node in self._nodes.items()
        }
        return values | {self.unit: self.budget}

    @property
    def files(self) -> list[InputFile]:
        """The files that its nodes hold, also in lists."""
        values = [value for _, value in leaves(self._nodes, into_lists=True)]
        return [value for value in values if isinstance(value, InputFile)]

    @property
    def _nodes(self) -> dict[str, Node]:
        nodes = {"algo": self.algo, "env": self.env}
        return nodes if self.graph is None else nodes | {"graph": self.graph}


def _with_copy_name(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_copy_name(element) for element in cast("list[Any]", value)]
    return inputs.stored_name(value) if isinstance(value, InputFile) else value


def read_job(config: Mapping[str, Any]) -> Job:
    """Check a resolved configuration; ValueError names the first key that is missing or wrong.

    It is held to the files in conf/, but for classes from outside, whose files are not at hand.
    """
    refuse_hidden_targets(config)
    values = _check_root(config)
    algo, env = node_of(config, "algo"), node_of(config, "env")
    # An algorithm without communication has none, nor has what older versions stored.
    graph = None if config.get("graph") is None else node_of(config, "graph")
    check_node(algo, "algo")
    check_node(env, "env")
    if graph is not None:
        check_node(graph, "graph")
    return Job(
        algo=algo,
        env=env,
        graph=graph,
        name=values["name"],
        seeds=tuple(range(values["seed"], values["seed"] + values["replicas"])),
        env_steps=values["env_steps"],
        updates=values["updates"],
        device=values["device"],
        threads=values["threads"],
        num_envs=env["num_envs"],
        eval_every=values["eval.every"],
        eval_episodes=values["eval.episodes"],
        final_episodes=values["eval.final_episodes"],
        checkpoint_every=values["checkpoint.every"],
        checkpoint_keep=values["checkpoint.keep"],
        checkpoint_best=values["checkpoint.best"],
        log_every=values["log.every"],
    )


def with_graph(
    job: Job, config: Mapping[str, Any], plugins: Sequence[str]
) -> tuple[Job, Mapping[str, Any]]:
    """Return a job and its configuration with the graph that its algorithm takes, or without one.

    Where none was chosen that is conf/graph/erdos_renyi.yaml, the experiments of the paper.
    ValueError if one was chosen for an algorithm without communication.
    """
    choices = config.get("choices", {})
    if not takes_graph(job.algo, plugins):
        if job.graph is not None:
            graph = choices.get("graph", job.graph["_target_"].rpartition(".")[2])
            algo = choices.get("algo", job.algo["_target_"])
            raise ValueError(f"graph={graph}: algo {algo} takes no graph")
        return job, {key: value for key, value in config.items() if key != "graph"}
    if job.graph is not None:
        return job, config
    rules = declared(f"graph/{_USUAL_GRAPH}", "graph").rules.items()
    node = nested({key: rule.default for key, rule in rules})["graph"]
    changes = {"graph": node, "choices": {**choices, "graph": _USUAL_GRAPH}}
    return replace(job, graph=node), {**config, **changes}


def with_budget(job: Job, config: Mapping[str, Any], plugins: Sequence[str]) -> Mapping[str, Any]:
    """Return a job's configuration with the one budget that its learner counts.

    ValueError if the other one was given, or none for an offline learner.
    """
    learner = f"algo {config.get('choices', {}).get('algo', job.algo['_target_'])} learns"
    if is_offline(job.algo, plugins):
        learner, unit, other_unit = f"{learner} offline (it has no observe)", "updates", "env_steps"
    else:
        learner, unit, other_unit = f"{learner} online", "env_steps", "updates"
    other_budget = vars(job)[other_unit]
    if other_budget is not None:
        raise ValueError(f"{other_unit}={other_budget}: {learner}, expected {unit}=N")
    if job.unit != unit:
        raise ValueError(f"updates missing: {learner}, expected updates=int [0, inf)")
    return {key: value for key, value in config.items() if key != other_unit} | {unit: job.budget}


def with_files(job: Job, files: Mapping[str, InputFile]) -> Job:
    """Return a job whose nodes hold these files where they held their paths."""
    return Job(**inputs.put(vars(job), files))


def _check_root(config: Mapping[str, Any]) -> dict[str, Any]:
    """Check all but the nodes; return it by dotted key, with what older versions did not store."""
    schema = declared("config")
    schema.rules["choices"] = Rule("dict", "the chosen algo, env and graph", {})
    root_values = {key: config[key] for key in config if key not in get_args(Kind)}
    # A stored configuration holds the one budget that its learner counts.
    absent = {"env_steps": None} if root_values.get("updates") is not None else {}
    return schema.check_all({**LATER, **absent, **root_values})
