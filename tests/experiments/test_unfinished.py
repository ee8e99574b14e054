"""A long study that was stopped goes on where it stood, and leaves nothing when it is done."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxmarl_core.experiments import study, unfinished
from jaxmarl_core.experiments.study import Claim, Findings, Study

MODULE = "jaxmarl_core.experiments.studies.two_step"  # any that has a file


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_part_is_computed_once():
    computed = []

    def compute():
        computed.append(0)
        return {"x y": np.arange(3.0), "n": np.array([2])}

    first = unfinished.part(MODULE, "world, 4 seeds", compute)
    second = unfinished.part(MODULE, "world, 4 seeds", compute)
    assert len(computed) == 1 and list(first) == list(second) == ["x y", "n"]
    np.testing.assert_array_equal(second["x y"], [0, 1, 2])
    unfinished.part(MODULE, "world, 5 seeds", compute)
    assert len(computed) == 2


def test_another_text_of_the_study_starts_anew(tmp_path, monkeypatch):
    file = tmp_path / "of_mine.py"
    file.write_text("STEPS = 1")
    monkeypatch.syspath_prepend(tmp_path)
    before = unfinished.folder("of_mine")
    file.write_text("STEPS = 2")
    assert unfinished.folder("of_mine") != before


def test_a_study_that_fails_midway_keeps_its_parts_and_one_that_ends_keeps_none(monkeypatch):
    asked, starts = [], []

    def compute():
        asked.append(0)
        return {"x": np.zeros(1)}

    def measure(num_seeds):
        starts.append(0)
        unfinished.part(MODULE, "a", compute)
        if len(starts) == 1:
            raise KeyboardInterrupt
        unfinished.part(MODULE, "b", compute)
        return Findings([Claim("it ends", "", "claim", "", True)])

    module = SimpleNamespace(__name__=MODULE, STUDY=Study("T", "S", measure, ".", "."))
    monkeypatch.setattr(study, "module_of", lambda name: module)
    with pytest.raises(KeyboardInterrupt):
        study.run("mine", 3)
    assert len(asked) == 1 and unfinished.seconds(MODULE) > 0
    study.run("mine", 3)
    assert len(asked) == 2
    assert not unfinished.folder(MODULE).exists() and unfinished.seconds(MODULE) == 0
