"""What tests of several rooms need."""

import pytest
import torch


@pytest.fixture
def one_thread():
    """As a job has (`threads=1`): with more, products are cut into other pieces in company."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
