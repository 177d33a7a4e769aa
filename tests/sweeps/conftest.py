import pytest
from sweeps.accidents import BREAKING, REFUSING
from sweeps.desk import SWEEP, Desk


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture
def own(desk):
    """A directory of a user's own configuration."""
    folder = desk.place / "own" / "algo"
    folder.mkdir(parents=True)
    (folder / "breaking.yaml").write_text(BREAKING)
    (folder / "refusing.yaml").write_text(REFUSING)
    return folder.parent


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """The 2 x 2 x 2 sweep, undisturbed, one job after the other."""
    desk = Desk(tmp_path_factory.mktemp("reference"))
    said = desk.sweeps(*SWEEP)
    assert said.code == 0, said.err
    return desk
