"""JAX_ENABLE_X64=1: every world is played, every learner learns; see double_precision.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fitting import FITTING as WORLDS
from fitting import PROBES
from test_contract_algorithms import FITTING as LEARNERS

PROGRAM = Path(__file__).parent / "double_precision.py"
CASES = [("world", name, case) for name in sorted(WORLDS) for case in WORLDS[name]]
CASES += [("world", "probe", case) for case in PROBES]
CASES += [("learner", name, case) for name in sorted(LEARNERS) for case in LEARNERS[name]]
ONE_OF_A_KIND = [
    ("world", "probe", "dying"),
    ("world", "matrix_game", "time limit"),
    ("world", "simple_spread", "alone"),
    ("world", "soccer", "time limit"),
    ("learner", "ippo", "recurrent"),
    ("learner", "vdn", "recurrent"),
    ("learner", "q_learning", "game"),
    ("learner", "iga", "game"),
]
OTHERS = [case for case in CASES if case not in ONE_OF_A_KIND]
SINGLE_ONLY = [("world", "smax", "3m")]  # JaxMARL's code refuses double precision, and ours says so
AT_A_TIME = 24  # a process's compiled programs stay in its memory


def told(cases):
    """What the program says of each of some cases."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), json.dumps(cases)],
        env=os.environ | {"JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        cwd=PROGRAM.parents[1],
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[[")]
    assert len(lines) == len(cases), done.stdout + done.stderr
    return {tuple(case): wrong for case, wrong in lines}


@pytest.fixture(scope="module")
def of_a_kind():
    return told(ONE_OF_A_KIND)


@pytest.fixture(scope="module")
def of_others():
    found = {}
    for first in range(0, len(OTHERS), AT_A_TIME):
        found |= told(OTHERS[first : first + AT_A_TIME])
    return found


@pytest.mark.parametrize("case", ONE_OF_A_KIND, ids="-".join)
def test_one_of_a_kind(of_a_kind, case):
    assert of_a_kind[case] is None


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("case", OTHERS, ids="-".join)
def test_all_others(of_others, case):
    if (of_others[case] or "").startswith("missing: "):
        pytest.skip(of_others[case])
    if case in SINGLE_ONLY:
        assert "jax_enable_x64: expected off" in of_others[case]
    else:
        assert of_others[case] is None
