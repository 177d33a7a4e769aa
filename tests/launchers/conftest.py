import pytest
from launchers.sweeps import SWEEP, marlrun


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """The 2 x 2 x 2 sweep, undisturbed, one job after the other."""
    place = tmp_path_factory.mktemp("reference")
    said = marlrun(place, "-m", *SWEEP, "hydra.sweep.dir=sweep")
    assert said.code == 0, said.err
    return place / "sweep"
