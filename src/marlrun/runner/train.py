"""Training from the outside: begin or go on with a run, and leave a true record of its end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from marlrun.config.nested import Config
from marlrun.config.unit import plural, singular, unit_of
from marlrun.runner import console, documents, inputs
from marlrun.runner.checkpoint import NEWEST, Checkpoints, count_of, selection
from marlrun.runner.device import choose, describe, set_up
from marlrun.runner.intervals import estimate
from marlrun.runner.job import Job, read_job, with_budget, with_files, with_graph
from marlrun.runner.log import flat, holds_rows
from marlrun.runner.outcome import Outcome, log_traceback
from marlrun.runner.parts import assemble, check_selection, try_first_step
from marlrun.runner.promises import ContractError
from marlrun.runner.trainer import Training
from marlrun.system import capacity, commands
from marlrun.system.errors import PlayError, one_line, with_type
from marlrun.system.output import say
from marlrun.system.signals import Stop


def train(
    config: Config, directory: Path, argv: Sequence[str], sweep: Path | None = None
) -> Outcome:
    """Run the job that `config` describes in `directory`.

    If the same job was interrupted there, it goes on. The files that the configuration names are
    read as typed, those of a job of a sweep from the copies in the directory `sweep`. ValueError,
    in one line, if the configuration is no good or the directory holds another run.
    """
    documents.refuse_links_in(directory)
    plugins = list(config.get("plugins") or [])
    job, config = with_graph(read_job(config), config, plugins)
    config = with_budget(job, config, plugins)
    files = inputs.read_typed(config) if sweep is None else inputs.read_stored(config, sweep)
    config = inputs.stored(config, files)
    if inputs.REWARD in files:
        job, config = _with_newest(job, config)
    record = None
    if documents.holds_run(directory):
        record = documents.read_record(directory)
        _refuse_unless_unfinished(config, directory, record)
        say(f"{directory} holds this job, unfinished: going on")
    job = with_files(job, files)
    return _run(job, config, directory, argv, record, plugins, brief=sweep is not None)


def resume(
    directory: Path,
    env_steps: int | None,
    plugins: Sequence[str],
    updates: int | None = None,
    *,
    brief: bool = False,
) -> Outcome:
    """Go on with a stored run, up to the new total of `env_steps` or `updates` if given.

    Plugins that the stored configuration names count for nothing. `brief` as in
    `console.introduce`. ValueError if the directory, its newest checkpoint or the new total is no
    good.
    """
    documents.refuse_links_in(directory)
    config, record = documents.read_config(directory), documents.read_record(directory)
    done = _done(directory, record)
    unit = unit_of(config)
    for key, total in (("env_steps", env_steps), ("updates", updates)):
        if total is None:
            continue
        if key != unit:
            raise ValueError(f"{key}={total}: the run counts {plural(unit)}, expected {unit}=N")
        if total < done:
            raise ValueError(f"{key}={total}: the run has {done} already, expected more")
        config[key] = total
    with documents.naming_config(directory):
        job = read_job(config)
    if record is not None and record["status"] == "finished" and job.budget <= done:
        say(f"{directory} is finished; {unit}=N above {done} would train it for longer")
        return Outcome("finished", directory, record.get("results", {}))
    config = with_budget(job, config, plugins)
    job = with_files(job, inputs.read_stored(config, directory))
    return _run(job, config, directory, (), record, plugins, brief=brief)


def _with_newest(job: Job, config: Config) -> tuple[Job, Config]:
    """Return a job and its configuration whose true return selects no best.pt.

    What is learned from is another reward. Another tag, such as `irl/return_mean`, may select.
    """
    if job.checkpoint_best != console.HEADLINE:
        return job, config
    config = inputs.put(config, {"checkpoint.best": NEWEST})
    return replace(job, checkpoint_best=NEWEST), config


def _done(directory: Path, record: documents.Record | None) -> int:
    """Return how far a run is, in its unit."""
    newest = Checkpoints(directory).latest()
    if newest is not None:
        return count_of(newest)
    return 0 if record is None else record.get(unit_of(record), 0)


def _refuse_lost_checkpoints(directory: Path, record: documents.Record | None) -> None:
    """Raise ValueError if a run was trained and has no checkpoint: to start anew would empty it."""
    has_results = record is not None and bool(record.get("results"))
    if Checkpoints(directory).latest() is None and (
        has_results or holds_rows(directory / "metrics.jsonl")
    ):
        raise ValueError(
            f"{directory} was trained and has no checkpoint to go on from: put checkpoints/ back, "
            "or type its command again for another directory"
        )


def _refuse_unless_unfinished(
    config: Config, directory: Path, record: documents.Record | None
) -> None:
    status = "running" if record is None else record["status"]
    if status in ("running", "interrupted"):
        difference = documents.difference(config, documents.read_config(directory))
        if difference is None:
            return
        status = f"{status}, another job: {difference}"
    raise ValueError(f"{directory} holds a run already ({status}): mode=resume goes on with it")


def _run(
    job: Job,
    config: Config,
    directory: Path,
    argv: Sequence[str],
    record: documents.Record | None,
    plugins: Sequence[str],
    *,
    brief: bool,
) -> Outcome:
    device = choose(job.device)
    set_up(job.threads)
    with Stop() as stop:
        parts = assemble(job, device, plugins)
        try_first_step(parts)
        check_selection(parts)
        if stop.requested:
            say("marlrun: interrupted")
            return Outcome("interrupted", directory)
        directory.mkdir(parents=True, exist_ok=True)
        with documents.locked(directory):
            _refuse_lost_checkpoints(directory, record)
            training = Training(parts, directory)
            if record is None:
                inputs.write(job.files, directory)
            record = _working_record(training, config, argv, record)
            # In this order: a kill between the two must not leave a run that is called finished
            # below the budget of its config.yaml.
            documents.write_record(directory, record)
            documents.write_config(directory, config)
            introduce = partial(
                console.introduce,
                directory,
                config,
                describe(device),
                selection(job.checkpoint_best),
                brief=brief,
            )
            return _drive(training, directory, stop, record, introduce)


def _working_record(
    training: Training, config: Config, argv: Sequence[str], record: documents.Record | None
) -> documents.Record:
    """Return the run.json of a run that works, given the one it has; say it if the run goes on."""
    job, goes_on = training.job, record is not None or training.begun
    if record is None:
        device = describe(training.parts.device)
        record = documents.new_record(config, argv, job.seeds, device)
        record["inputs"] = {inputs.stored_name(file): file.path for file in job.files}
    if goes_on:
        saved = f"going on from {singular(job.unit)} {training.count:,}"
        say(saved if training.begun else "nothing was saved before: starting anew")
        note = documents.resumption(job.unit, training.count)
        record.setdefault("resumed", []).append(note)
    record |= {"status": "running", job.unit: training.count}
    return record | {"finished": None, "results": {}, "error": None}


def _drive(
    training: Training,
    directory: Path,
    stop: Stop,
    record: documents.Record,
    introduce: Callable[[Mapping[str, float] | None], object],
) -> Outcome:
    """Train a run; whatever happens, write down and say how it ended.

    `introduce` takes the exact values and writes the first lines.
    """
    results: dict[str, list[float]] = {}
    error = None
    try:
        introduce(training.parts.exact)
        with training.reporter.showing():
            results = _work(training, directory, stop, record)
        status = "finished" if results else "interrupted"
    except KeyboardInterrupt:
        status = "interrupted"
    except Exception as cause:
        status, error = "failed", _reason(cause)
        log_traceback(directory)
    unit, count = training.job.unit, training.count
    record |= {"status": status, unit: count, "finished": documents.now()}
    record |= {"results": results, "summary": _summary(results), "error": error}
    try:
        documents.write_record(directory, record)
    except OSError as cause:
        # run.json says "running": the run can be resumed. The first error is the reason.
        status, error = "failed", error or _reason(cause)
    if status == "finished":
        console.write_results(results, "seed")
        console.write_directory(directory)
    elif status == "interrupted":
        go_on = commands.resume(directory, training.parts.plugins)
        say(f"interrupted at {singular(unit)} {count:,}; to go on: {go_on}")
    where = f"{error} (see {directory / 'marlrun.log'})" if error else None
    return Outcome(status, directory, results, where)


def _work(
    training: Training, directory: Path, stop: Stop, record: documents.Record
) -> dict[str, list[float]]:
    """Train to the end and return the results; nothing if stopped before."""
    record["exact"] = training.parts.exact
    record["continuing"] = training.env.spec.continuing
    documents.write_record(directory, record)
    labels = {key: record[key] for key in ("name", "algo", "env", "graph") if record.get(key)}
    training.open()
    training.log.hyperparameters(labels | flat(training.job.hyperparameters))
    training.begin()
    training.advance(stop)
    training.save()
    return {} if stop.requested else training.finish()


def _summary(results: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float | int | None]]:
    return {tag: estimate(values)._asdict() for tag, values in results.items()}


def _reason(cause: Exception) -> str:
    """Return in one line why a run failed."""
    if capacity.is_short(cause):
        return "out of memory"
    says_all = isinstance(cause, FloatingPointError | ContractError | PlayError)
    return one_line(cause) if says_all else with_type(cause)
