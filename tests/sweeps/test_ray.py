"""Jobs in a real Ray cluster, started as its users do."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from sweeps.desk import OURS, SMALL, SWEEP, end, members, until

RAY = "hydra/launcher=ray"
PAIR = ["algo=dec_hdrqn", "env.game=climb", "algo.beta=0.2,0.6", *SMALL]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def cluster():
    """Lend a cluster of its own, with two places for jobs; others on this machine are left alone."""
    place = Path(tempfile.mkdtemp(prefix="ray"))  # short: sockets in it have no long names
    port = free_port()
    options = {
        "node-ip-address": "127.0.0.1",
        "port": port,
        "ray-client-server-port": free_port(),
        "dashboard-agent-listen-port": free_port(),
        "metrics-export-port": free_port(),
        "min-worker-port": 0,
        "max-worker-port": 0,
        "num-cpus": 2,
        "object-store-memory": 80_000_000,
        "temp-dir": place,
        "include-dashboard": "false",
    }
    words = [f"--{key}={value}" for key, value in options.items()]
    ray = Path(sys.executable).with_name("ray")
    # A token of its own: whether the person who tests has one at home must make no difference.
    access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    log = (place / "head.log").open("wb")
    head = subprocess.Popen(
        [ray, "start", "--head", "--block", "--disable-usage-stats", *words],
        env=os.environ | OURS | access,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    until(lambda: b"Ray runtime started" in (place / "head.log").read_bytes())
    yield SimpleNamespace(
        address=f"127.0.0.1:{port}", access=access, logs=place / "session_latest/logs"
    )
    head.terminate()
    head.wait(60)
    log.close()
    assert not of(place)
    shutil.rmtree(place)


def of(place):
    """Return the processes that were told about a cluster's directory."""
    listed = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if f"{place}/" in line]


def test_a_cluster_gives_the_same_numbers(desk, reference, cluster):
    address = f"hydra.launcher.ray.init.address={cluster.address}"
    said = desk.sweeps(*SWEEP, RAY, address, **cluster.access)
    assert said.code == 0, said.err
    workers = {job["pid"] for job in desk.jobs()}
    assert all(list(cluster.logs.glob(f"worker-*-{pid}.out")) for pid in workers)
    desk.assert_same_as(reference)


@pytest.mark.slow
def test_kill_the_parent_and_resume(desk, reference, cluster):
    there = {"RAY_ADDRESS": cluster.address} | cluster.access
    with desk.sweeping(*PAIR, RAY, **there) as parent:
        until(desk.in_the_middle)
        os.kill(parent.pid, signal.SIGKILL)
        until(lambda: not members(parent.pid))
    assert desk.statuses() != ["finished"] * 2
    said = desk.resumes(RAY, **there)
    assert said.code == 0, said.err
    desk.assert_same_as(reference)


@pytest.mark.slow
def test_kill_a_worker(desk, reference, cluster):
    """Ray starts its job again, which goes on from its checkpoint."""
    there = {"RAY_ADDRESS": cluster.address} | cluster.access
    with desk.sweeping(*PAIR, RAY, **there) as parent:
        victim = until(desk.in_the_middle)[0]
        os.kill(victim["pid"], signal.SIGKILL)
        assert end(parent).code == 0
    assert desk.record(victim)["resumed"]
    desk.assert_same_as(reference)
