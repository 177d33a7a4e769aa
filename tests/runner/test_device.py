"""How exactly PyTorch computes, and that what was set before comes back."""

import subprocess
import sys

import torch

from marlrun.runner.device import set_up, settings_kept

SMALL = "torch.full((1_000_000,), 1e-30) * 1e-9"
ASK = f"""
import torch
from marlrun.runner.device import set_up
set_up(2)
print(int(({SMALL} != 0).sum()))
"""


def test_numbers_below_1e_38_count_as_0_within_a_run_and_not_after_it():
    torch.set_flush_denormal(False)
    with settings_kept():
        set_up(1)
        assert (torch.full((1,), 1e-30) * 1e-9).item() == 0
    assert (torch.full((1,), 1e-30) * 1e-9).item() > 0


def test_they_count_as_0_in_every_thread():
    said = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert said.stdout == "0\n"
