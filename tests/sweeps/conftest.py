"""Shared by the tests of sweeps: one that nothing interrupted."""

import pytest
from interrupted_sweeps import spec

from jaxmarl_core.sweeps.worker import run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of an uninterrupted sweep."""
    return run(spec(), tmp_path_factory.mktemp("whole") / "sweep")
