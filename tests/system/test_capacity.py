"""What memory cannot hold is refused before work starts."""

import re
import subprocess
import sys

import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from marlrun.runner.train import train
from marlrun.system import capacity
from marlrun.types import Spec

CPU = torch.device("cpu")


def test_what_fits_is_taken_and_what_does_not_is_refused(monkeypatch):
    monkeypatch.setattr(capacity, "memory", lambda device: 2_000_000_000)
    capacity.check(2_000_000_000, CPU, "algo.x=1")
    with pytest.raises(ValueError) as caught:
        capacity.check(2_200_000_000, CPU, "algo.x=1")
    assert str(caught.value) == (
        "algo.x=1: this takes about 2.2 GB of memory, this machine has 2 GB"
    )


def test_steps_are_counted_by_agents_and_by_what_they_see():
    spec = Spec(3, ("a", "b", "c"), (2, 5, 4), (2, 2, 2), horizon=1, discount=1.0)
    assert capacity.of_steps(spec, 10, 7) == 70 * (16 * 3 * 5 + 64 * 3)
    common = Spec(3, ("a", "b", "c"), (9, 9, 9), (2, 2, 2), 1, 1.0, num_states=9)
    assert capacity.of_steps(common, 10, 7) == 70 * (16 * 9 + 64 * 3)


@pytest.mark.skipif(sys.platform != "linux", reason="a limit that Linux keeps")
def test_a_limit_of_this_process_counts():
    limited = (
        "import resource, torch; from marlrun.system import capacity; limit = 1 << 36; "
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); "
        "cpu = torch.device('cpu'); whole = capacity.memory(cpu); limit = capacity.memory(cpu) // 2; "
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); assert capacity.memory(cpu) == limit"
    )
    subprocess.run([sys.executable, "-c", limited], check=True)


@pytest.mark.parametrize(
    ("error", "is_short"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("[..] DefaultCPUAllocator: can't allocate memory: you tried .."), True),
        (RuntimeError("something else"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_errors_of_a_short_memory_are_told_apart(error: Exception, is_short: bool):
    assert capacity.is_short(error) == is_short


MANY = 10**12
REPLAY = "algo.episodes=1000000000000 env.horizon=60 env.num_envs=1 replicas=1"
TOO_LARGE = [
    ("random", "matrix_game", f"env.num_envs={MANY}", f"env.num_envs={MANY} replicas=1", 160_000),
    ("random", "meeting_grid", f"env.num_envs={MANY}", f"env.num_envs={MANY} replicas=1", 320_000),
    (
        "random",
        "target_capture",
        f"env.num_envs={MANY}",
        f"env.num_envs={MANY} replicas=1",
        256_000,
    ),
    (
        "random",
        "networked_mdp",
        f"env.num_envs={MANY}",
        f"env.num_envs={MANY} replicas=1",
        1_600_000,
    ),
    (
        "random",
        "public_goods",
        "env.num_states=10000 env.num_agents=100000",
        "env.num_states=10000 env.num_agents=100000",
        320_003,
    ),
    ("dec_hdrqn", "target_capture", f"algo.episodes={MANY}", REPLAY, 3_416_000),
    (
        "dec_hdrqn",
        "target_capture",
        f"algo.sizes=[32,64,{10**6},32] replicas=3",
        "algo.sizes=[32, 64, 1000000, 32] replicas=3",
        576_042,
    ),
    (
        "dec_hdrqn",
        "target_capture",
        f"algo.batch={10**9} algo.episodes={10**9}",
        f"algo.batch={10**9} algo.trace=4 algo.burn_in=0 algo.sizes=[32, 64, 64, 32] replicas=1",
        56_320,
    ),
    (
        "networked_ac_q",
        "public_goods",
        f"algo.critic.num_features={MANY} algo.critic.features=random",
        f"algo.critic.num_features={MANY} with 6 agents, replicas=1",
        192_000,
    ),
    (
        "networked_ac_v",
        "public_goods",
        f"algo.critic.num_features={MANY} algo.critic.features=random",
        f"algo.critic.num_features={MANY} env.num_states=5 replicas=1",
        80_000,
    ),
    (
        "networked_ac_q",
        "networked_mdp",
        "env.num_agents=10000 env.num_actions=1000 algo.critic.features=team",
        "algo.critic.features=team with 10000 agents, replicas=1",
        1_600,
    ),
    (
        "networked_ac_q",
        "public_goods",
        f"algo.critic.kind=neural algo.critic.hidden=[{MANY}]",
        f"algo.critic.hidden=[{MANY}] with 6 agents, replicas=1",
        1_968_000,
    ),
    (
        "networked_ac_v",
        "public_goods",
        f"algo.critic.kind=neural algo.critic.hidden=[{MANY}]",
        f"algo.critic.hidden=[{MANY}] with 6 agents, replicas=1",
        672_000,
    ),
    (
        "networked_ac_q",
        "public_goods",
        f"algo.policy.kind=boltzmann algo.policy.num_features={MANY}",
        f"algo.policy.num_features={MANY} with 6 agents, replicas=1",
        960_000,
    ),
    (
        "networked_ac_q",
        "public_goods",
        f"algo.policy.kind=neural algo.policy.hidden=[{MANY}]",
        f"algo.policy.hidden=[{MANY}] with 6 agents, replicas=1",
        768_000,
    ),
    (
        "networked_ac_q",
        "networked_mdp",
        "env.num_agents=10000 env.num_states=10000 env.num_actions=1000 algo.policy.kind=tabular",
        "algo.policy.kind=tabular with 10000 agents, replicas=1",
        1_600,
    ),
]


@pytest.mark.parametrize(
    ("algo", "env", "changes", "keys", "gigabytes"),
    TOO_LARGE,
    ids=[f"{algo}-{env}-{keys.partition('=')[0]}" for algo, env, _, keys, _ in TOO_LARGE],
)
def test_what_memory_cannot_hold_is_refused_by_name(
    algo: str, env: str, changes: str, keys: str, gigabytes: int, tmp_path
):
    chosen = [f"algo={algo}", f"env={env}", "device=cpu", *changes.split()]
    if "networked_ac" in algo:
        chosen.append("graph=ring")
    with initialize_config_module("marlrun.conf", version_base="1.3"):
        config = OmegaConf.to_container(compose("config", chosen), resolve=True)
    message = re.escape(f"{keys}: this takes about {gigabytes:,} GB of memory, this machine has ")
    with pytest.raises(ValueError, match=rf"^{message}\S+ GB$"):
        train(config, tmp_path / "run", [])
    assert not (tmp_path / "run").exists()
