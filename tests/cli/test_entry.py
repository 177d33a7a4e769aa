"""The commands in processes of their own: broken streams, and signals at any moment."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sweeps.desk import until

MARLRUN, REPORT = (
    [sys.executable, "-c", f"import sys; from marlrun.entry import {name}; sys.exit({name}())"]
    for name in ("marlrun", "report")
)
pytestmark = pytest.mark.usefixtures("hangup")

JOB = ["algo=random", "env=matrix_game", "eval.every=100", "eval.episodes=4", "log.every=100"]
RUN = [*JOB, "env_steps=200", "eval.final_episodes=4", "hydra.run.dir=o"]
LONG = [*JOB, "env_steps=1000000000", "hydra.run.dir=o"]
FULL = "marlrun: [Errno 28] No space left on device: 'standard output'\n"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


@pytest.fixture
def begin():
    """Start processes; none outlives the test."""
    processes = []

    def start(argv, **streams):
        processes.append(subprocess.Popen(argv, text=True, **streams))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for pipe in filter(None, (process.stdout, process.stderr)):
            pipe.close()


def shell(command, redirection, **more):
    """Run a command in a shell that redirects it."""
    script = f'"$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", script, "bash", *command], capture_output=True, text=True, **more
    )


def run_record(directory="o"):
    return json.loads(Path(directory, "run.json").read_text())


def assert_finished():
    assert run_record()["status"] == "finished" and run_record()["results"]
    for line in Path("o/metrics.jsonl").read_text().splitlines():
        assert "env_steps" in json.loads(line)


@pytest.mark.parametrize(
    "redirection",
    [
        ">/dev/full 2>/dev/full",
        "<&- >&- 2>&-",
        "2>&1 >/dev/null | head -n 1; exit ${PIPESTATUS[0]}",
    ],
)
def test_a_run_finishes_whoever_listens(redirection):
    said = shell([*MARLRUN, *RUN], redirection)
    assert (said.returncode, said.stderr) == (0, "")
    assert_finished()


def test_a_sweep_shows_its_table_to_nobody():
    swept = [*MARLRUN, "-m", *RUN[:-1], "hydra.sweep.dir=s", "seed=0,1"]
    said = shell(swept, "2>&- | true; exit ${PIPESTATUS[0]}")
    assert (said.returncode, said.stderr) == (0, "")
    assert [job["status"] for job in json.loads(Path("s/sweep.json").read_text())["jobs"]] == [
        "finished",
        "finished",
    ]


ANSWERS = (["mode=exact", "env=matrix_game"], ["--help"], ["--cfg", "job", *JOB[:2]])


@pytest.mark.parametrize("answer", [*ANSWERS, ["--version"], ["--hydra-help"]])
def test_results_that_stand_nowhere_else_must_be_written(answer):
    said = shell([*MARLRUN, *answer], ">/dev/full")
    assert (said.returncode, said.stderr) == (1, FULL)


@pytest.mark.parametrize("answer", ANSWERS)
def test_nobody_has_to_listen_to_the_end(answer):
    for redirection in (">&-", "| true; exit ${PIPESTATUS[0]}", ">/dev/null 2>&-"):
        said = shell([*MARLRUN, *answer], redirection)
        assert (said.returncode, said.stderr) == (0, "")


def test_the_help_of_the_report_must_be_written():
    said = shell([*REPORT, "--help"], ">/dev/full")
    assert said.returncode == 1
    assert said.stderr == "marlrun-report: standard output: No space left on device\n"


def test_a_name_that_the_terminal_cannot_show_fails_nothing(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    said = shell([*MARLRUN, *RUN[:-1], "hydra.run.dir='ü'"], "")
    assert said.returncode == 0, said.stderr
    assert "run directory: \\xfc" in said.stdout


# A terminal


def on_terminal(begin, *words, **more):
    """Start marlrun on a terminal; return the process, and the other end."""
    master, slave = os.openpty()
    streams = {"stdin": slave, "stdout": slave, "stderr": slave}
    process = begin([*words, *MARLRUN, *LONG], **streams, **more)
    os.close(slave)
    return process, master


def until_saved(run="o"):
    until(lambda: list(Path(run, "checkpoints").glob("step_*")))


def test_a_terminal_that_closes_asks_to_save_and_stop(begin):
    """The terminal is the process's own, so that the kernel sends SIGHUP."""
    process, master = on_terminal(begin, "setsid", "--ctty")
    until_saved()
    os.close(master)
    assert process.wait(60) == 130
    record = run_record()
    assert (record["status"], record["error"]) == ("interrupted", None)
    assert Path(f"o/checkpoints/step_{record['env_steps']}.pt").exists()
    assert record["env_steps"] > 0


def test_a_run_outlives_the_terminal_that_it_was_not_bound_to(begin):
    process, master = on_terminal(begin, start_new_session=True)
    until_saved()
    os.close(master)
    rows = len(Path("o/metrics.jsonl").read_text().splitlines())
    until(lambda: len(Path("o/metrics.jsonl").read_text().splitlines()) > rows + 10)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert run_record()["status"] == "interrupted"


def test_nohup(begin):
    process = begin(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *MARLRUN, *LONG], stderr=subprocess.DEVNULL
    )
    until_saved()
    process.send_signal(signal.SIGHUP)
    rows = len(Path("o/metrics.jsonl").read_text().splitlines())
    until(lambda: len(Path("o/metrics.jsonl").read_text().splitlines()) > rows + 10)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130


@pytest.mark.parametrize(
    ("where", "run"),
    [(["hydra.run.dir=o"], "o"), (["-m", "hydra.sweep.dir=s", "hydra.sweep.subdir=o"], "s/o")],
)
def test_interrupted_while_nobody_reads(where, run, begin):
    """`| tee` dies of the same Ctrl-C, and first."""
    pipe = subprocess.PIPE
    process = begin([*MARLRUN, *LONG[:-1], *where], stdout=pipe, stderr=pipe)
    until_saved(run)
    process.stdout.close()
    process.stderr.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert run_record(run)["status"] == "interrupted"


def test_a_command_that_goes_on_is_pasted(begin):
    argv = [*MARLRUN, *LONG[:-1], "hydra.run.dir='my runs/a b'"]
    process = begin(argv, stderr=subprocess.PIPE)
    until(lambda: list(Path("my runs/a b/checkpoints").glob("step_*")))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    done, command = said.splitlines()[-1].split("; to go on: ")
    assert command == "marlrun mode=resume 'run=my runs/a b'"
    steps = int(done.removeprefix("interrupted at env step ").replace(",", ""))
    said = subprocess.run(["sh", "-c", f"{command} env_steps={steps + 100}"], capture_output=True)
    assert said.returncode == 0, said.stderr
    assert run_record("my runs/a b")["status"] == "finished"


# A full disk


def test_a_disk_that_is_full_fails_the_run_which_then_goes_on():
    said = shell([*MARLRUN, *LONG], "", preexec_fn=_small_disk)
    assert said.returncode == 1
    *_, line = said.stderr.splitlines()
    assert line == "marlrun: OSError: [Errno 27] File too large (see o/marlrun.log)"
    record = run_record()
    assert (record["status"], record["error"]) == ("failed", "OSError: [Errno 27] File too large")
    saved = max(int(path.stem[5:]) for path in Path("o/checkpoints").glob("step_*"))
    resumed = ["mode=resume", "run=o", f"env_steps={saved + 500}"]
    assert subprocess.run([*MARLRUN, *resumed], capture_output=True).returncode == 0
    assert_finished()


def _small_disk():
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


# Signals while a command starts

SITE = """
import os, signal, sys
event, part, number = os.environ["AT"].split(":")
def hook(name, args):
    if name == event and part in str(args[0]):
        os.kill(os.getpid(), int(number))
sys.addaudithook(hook)
"""


def started(command, event, part, number, monkeypatch):
    """Run a command that gets a signal at an audit event; return its exit code and stderr."""
    Path("site").mkdir()
    Path("site/sitecustomize.py").write_text(SITE)
    monkeypatch.setenv("PYTHONPATH", os.path.abspath("site"))  # noqa: PTH100
    monkeypatch.setenv("AT", f"{event}:{part}:{int(number)}")
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.stdout == ""
    assert os.listdir() == ["site"]  # noqa: PTH208
    return said.returncode, said.stderr


@pytest.mark.parametrize(
    ("event", "part", "number"),
    [
        ("open", "marlrun/system/__pycache__/output", signal.SIGINT),
        ("open", "marlrun/system/__pycache__/output", signal.SIGTERM),
        ("open", "marlrun/system/__pycache__/output", signal.SIGHUP),
        ("import", "hydra", signal.SIGINT),
        ("open", "algo/random.yaml", signal.SIGTERM),
        ("open", "runner/__pycache__/train.", signal.SIGHUP),
        ("import", "torch._C", signal.SIGINT),
        ("os.mkdir", "o", signal.SIGTERM),
        ("open", "algos/__pycache__/random", signal.SIGINT),
    ],
)
def test_a_signal_while_marlrun_starts_is_one_line(event, part, number, monkeypatch):
    said = started([*MARLRUN, *RUN], event, part, number, monkeypatch)
    assert said == (130, "marlrun: interrupted\n")


@pytest.mark.parametrize(
    ("event", "part", "number"),
    [
        ("import", "rich.console", signal.SIGHUP),
        ("open", "study.cpython", signal.SIGTERM),
        ("os.scandir", ".", signal.SIGINT),
    ],
)
def test_a_signal_while_the_report_starts_is_one_line(event, part, number, monkeypatch):
    said = started([*REPORT, "."], event, part, number, monkeypatch)
    assert said == (130, "marlrun-report: interrupted\n")
