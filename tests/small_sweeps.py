"""A tiny sweep that several test modules read and none changes, trained once in a process."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from jaxmarl_core.sweeps.spec import from_dict
from jaxmarl_core.sweeps.worker import run

GAME = {
    "algorithm": "q_learning",
    "environment": "matrix_game",
    "environment_options": {"num_rounds": 3},
    "seeds": 2,
    "first_seed": 7,
    "updates": 6,
    "segment": 2,
    "checkpoint_seconds": 0.0,  # after every segment
    "config": {"rollout_length": 4},
    "grid": {"hparams": {"learning_rate": [0.1, 0.2]}},
    "evaluation": {"every": 3, "episodes": 2},
}


@cache
def trained_game() -> Path:
    """The folder of a finished sweep of two learners of a game: two rates, two seeds."""
    folder = Path(tempfile.mkdtemp(prefix="small-sweeps-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return run(from_dict(GAME), folder / "game")
