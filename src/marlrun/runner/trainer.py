"""A training run at a tick: what a checkpoint holds, and what happens when something is due."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import cast

import torch
from torch import Tensor

from marlrun.config.unit import singular
from marlrun.runner.agreement import Agreement
from marlrun.runner.build import settled
from marlrun.runner.checkpoint import NEWEST, Checkpoints, fitting, load, restore
from marlrun.runner.console import HEADLINE, Reporter
from marlrun.runner.evaluate import evaluate, means
from marlrun.runner.health import Health
from marlrun.runner.log import Log
from marlrun.runner.loop import offline, online
from marlrun.runner.meters import Clock, Meters, Returns, Speed, floats
from marlrun.runner.parts import Parts
from marlrun.runner.promises import check_metrics
from marlrun.runner.schedule import Schedule
from marlrun.system.errors import PlayError, advising
from marlrun.system.output import say
from marlrun.system.signals import Stop
from marlrun.types import Learner, Recovering, Step, Tick

Row = dict[str, Sequence[float | None]]


class Training:
    """Advances a run tick by tick; a checkpoint is taken after all else that is due at its tick."""

    def __init__(self, parts: Parts, directory: Path):
        """Take the newest checkpoint in `directory`, or be ready to begin; change no file.

        ValueError, in one line, if the checkpoint or the log is damaged or does not fit the job.
        """
        self.parts, self.job = parts, parts.job
        self.env, self.learner = parts.env, parts.learner
        self.policy = parts.training_policy()
        spec, replicas, num_envs = self.env.spec, len(self.job.seeds), self.env.num_envs
        self.meters = Meters()
        self.returns = Returns(replicas, num_envs, spec, parts.device)
        self.health = Health(self.job.seeds, spec.agent_names)
        self.agreement = Agreement(self.job, spec, self.job.seeds, parts.device, parts.plugins)
        self.checkpoints = Checkpoints(directory, self.job.checkpoint_keep, self.job.unit)
        self.schedule = Schedule(
            unit=self.job.unit,
            stride=1 if self.job.is_offline else num_envs,
            budget=self.job.budget,
            log_every=self.job.log_every,
            eval_every=self.job.eval_every,
            checkpoint_every=self.job.checkpoint_every,
        )
        self.count = 0
        self.after: Step | None = None
        self._best = -float("inf")
        self._saved_at: int | None = None
        self.clock = Clock()
        log_end = self._load()
        unit = self.job.unit
        self.log = Log(directory, self.job.seeds, log_end, self.count, unit)
        self.speed = Speed(self.count, replicas, unit)
        self.reporter = Reporter(self.job.budget, lambda: self.count, replicas, unit)

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return self._saved_at is not None

    @property
    def _selects(self) -> bool:
        """Whether evaluations select a best.pt."""
        return self.job.checkpoint_best != NEWEST

    def open(self) -> None:
        """Remove from the directory what came after the checkpoint."""
        if self.begun and self._selects:
            self.checkpoints.take_back_best()
            self._check_best()
        self.log.open()

    def _check_best(self) -> None:
        """Let the next evaluation be the best one if best.pt is lost or damaged."""
        try:
            load(self.checkpoints.named("best"), torch.device("cpu"))
        except ValueError as error:
            say(f"marlrun: {error}; the best evaluation from here on takes its place")
            self._best = -float("inf")

    def begin(self) -> None:
        """Start the clock; evaluate and save the untrained learner, unless that was done before."""
        self.clock.start()
        if not self.begun:
            self._write(self._evaluation())
            self.save()

    def advance(self, stop: Stop) -> None:
        """Train until the budget is used up or a stop is requested."""
        schedule = self.schedule
        if self.count >= schedule.budget:
            return
        checked: set[str] = set()
        pause = schedule.next_pause(self.count)
        self.speed.start()
        for tick in self._ticks():
            # Once between pauses: at every tick it would take a hundredth of the time.
            if type(tick.metrics) is not dict or not tick.metrics.keys() <= checked:
                check_metrics(tick.metrics, len(self.job.seeds), self.env.spec.num_agents)
                checked.update(tick.metrics)
            self.count += schedule.stride
            self.after = tick.after
            if tick.after is not None:
                self.returns.add(tick.after)
            if tick.metrics:
                self.meters.add(tick.metrics)
                self.speed.updates += 1
            if self.count >= pause or stop.requested:
                self.speed.stop()
                self._do_what_is_due()
                if self.count >= schedule.budget or stop.requested:
                    return
                pause = schedule.next_pause(self.count)
                checked.clear()
                self.speed.start()

    def _ticks(self) -> Iterator[Tick]:
        """Return the ticks from here on, without an end."""
        if self.job.is_offline:
            return offline(self.learner)
        step = self.env.reset() if self.after is None else self.env.restart(self.after)
        return self._saving(online(cast(Learner, self.learner), self.env, self.policy, step))

    def _saving(self, ticks: Iterator[Tick]) -> Iterator[Tick]:
        """Yield ticks; where the game fails, save the run as it was at the last one."""
        try:
            yield from ticks
        except PlayError:
            self.save()
            raise

    def save(self) -> None:
        """Write a checkpoint of this tick, if there is none yet."""
        if self._saved_at == self.count:
            return
        state = {
            "learner": self._healthy_learner(),
            "policy": None if self.after is None else self.policy.state_dict(),
            "env": None if self.after is None else self.env.state_dict(),
            "after": None if self.after is None else _packed(self.after),
            "meters": self.meters.state_dict(),
            "returns": self.returns.state_dict(),
            "best": self._best,
            "seconds": self.clock.read(),
            "log_end": self.log.sync(),
        }
        self.checkpoints.save(self.count, state)
        if isinstance(self.learner, Recovering):
            game = settled(self.job.env, self.parts.plugins)
            self.checkpoints.save_reward(self.count, self.learner.recovered_reward(), game)
        self._saved_at = self.count

    def finish(self) -> dict[str, list[float]]:
        """Complete the log and return the final evaluation's results, one number per seed.

        The last checkpoint is older than what is written here: if the run is trained for longer,
        it is taken back, and the run goes on as if it had never stopped.
        """
        row = {} if self._due(self.job.log_every) else self._training_row()
        due = self._due(self.job.eval_every)
        self._write(row if due else row | self._evaluation(for_now=True))
        results = self._evaluate("final", self.job.final_episodes, thorough=True)
        return {tag: floats(values) for tag, values in results.items()}

    def _load(self) -> int:
        """Load the newest checkpoint; return the length of the log at that time."""
        path = self.checkpoints.latest()
        if path is None:
            return 0
        with advising(self._way_out(path)):
            state = load(path, self.parts.device)
            if "after" not in state:
                raise ValueError(f"{path} holds a learner, no run")
        parts = {"learner": self.learner, "meters": self.meters, "returns": self.returns}
        if state["after"] is not None:
            parts |= {"policy": self.policy, "env": self.env}
        restore(state, path, **parts)
        with fitting(path, "run"):
            self.count = self._saved_at = state[self.job.unit]
            self.after = None if state["after"] is None else Step(**state["after"])
            if self.after is not None and not getattr(self.env, "resumable", True):
                self._begin_episodes_anew()
            self._best, log_end = float(state["best"]), int(state["log_end"])
            # Older checkpoints have no clock: from there on the run's wall time is unknown.
            seconds = state.get("seconds")
            self.clock = Clock(None if seconds is None else float(seconds))
        return log_end

    def _begin_episodes_anew(self) -> None:
        """Go on with `reset`: the environment's state dict does not say where its episodes stand.

        The policy keeps its place in its random numbers, and forgets the rest where episodes begin.
        """
        self.after = None
        self.returns.forget_unfinished()
        say(f"marlrun: {type(self.env).__name__} cannot resume amid an episode: all begin anew")

    def _way_out(self, damaged: Path) -> str:
        older = [path.name for path in self.checkpoints.steps() if path != damaged]
        return f"delete it to go on from {older[-1]}" if older else "delete it to start anew"

    def _due(self, every: int) -> bool:
        return self.schedule.due(every, self.count)

    @property
    def when(self) -> str:
        """How far the run is, as an error or a line says it: `env step 10`."""
        return f"{singular(self.job.unit)} {self.count}"

    def _do_what_is_due(self) -> None:
        row = self._training_row() if self._due(self.job.log_every) else {}
        self._write(row | self._evaluation() if self._due(self.job.eval_every) else row)
        if self._due(self.job.checkpoint_every):
            self.save()

    def _write(self, row: Row) -> None:
        if row:
            self.log.write(self.count, row)

    def _training_row(self) -> Row:
        metrics = self.meters.take()
        self.health.check_metrics(metrics, self.when)
        row: Row = {}
        if not self.job.is_offline:
            returns, episodes = self.returns.take()
            self.health.check_metrics({"train/return_mean": returns}, self.when)
            pairs = zip(floats(returns), floats(episodes), strict=True)
            row["train/return_mean"] = [mean if count else None for mean, count in pairs]
        row |= {tag: floats(value) for tag, value in metrics.items()}
        perf = self.speed.take(self.count)
        return row | {tag: [value] * len(self.job.seeds) for tag, value in perf.items()}

    def _evaluation(self, *, for_now: bool = False) -> Row:
        """Evaluate, keep the learner if it is the best so far, and return the row."""
        results = self._evaluate(f"eval/{self.count}", self.job.eval_episodes)
        self.reporter.evaluated(floats(results[HEADLINE]))
        if self._selects:
            score = fmean(floats(results[self.job.checkpoint_best]))
            if score > self._best:
                self._best = score
                best = {"learner": self._healthy_learner()}
                self.checkpoints.save_best(self.count, best, for_now=for_now)
        row: Row = {tag: floats(values) for tag, values in results.items()}
        return row | {"perf/seconds": [self.clock.read()] * len(self.job.seeds)}

    def _evaluate(
        self, purpose: str, episodes: int, *, thorough: bool = False
    ) -> dict[str, Tensor]:
        parts = self.parts
        results = means(
            evaluate(
                self.job.env,
                self.learner,
                self.job.seeds,
                parts.device,
                parts.plugins,
                purpose=purpose,
                episodes=episodes,
                solution=parts.exact,
            )
        )
        results |= self.agreement.measure(self.learner, purpose, thorough=thorough)
        self.health.check_metrics(results, self.when)
        return results

    def _healthy_learner(self) -> dict[str, object]:
        state = self.learner.state_dict()
        self.health.check_state({"learner": state}, self.when)
        return state


def _packed(step: Step) -> dict[str, Tensor]:
    """Return a step's tensors by name, each with memory of its own and no more."""
    parts = step._asdict().items()
    return {name: part.clone() for name, part in parts if part is not None}
