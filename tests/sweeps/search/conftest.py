"""Shared by the tests of searches: one that nothing interrupted."""

import pytest
from searches import halving, population

from jaxmarl_core.sweeps.worker import run


@pytest.fixture(scope="package")
def halved(tmp_path_factory):
    """The folder of an uninterrupted sweep in which configurations are dropped."""
    return run(halving(), tmp_path_factory.mktemp("halved") / "sweep")


@pytest.fixture(scope="package")
def evolved(tmp_path_factory):
    """The folder of an uninterrupted sweep whose runs copy each other."""
    return run(population(), tmp_path_factory.mktemp("evolved") / "sweep")
