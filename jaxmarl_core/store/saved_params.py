"""Reading what one run has learnt out of a part's checkpoints: the parameters, and nothing else.

A checkpoint holds the whole state of all runs of a part, replay buffers among them. To act, the
parameters of one run will do: they alone are read, as NumPy arrays, on whatever device.
"""

from pathlib import Path
from typing import Any

from jaxmarl_core.errors import require
from jaxmarl_core.store.archive import Damaged
from jaxmarl_core.store.checkpoint import read_leaves, saved_steps
from jaxmarl_core.store.named_leaves import filled

FIELD = "params"  # of a learner's state: what its policy acts by


def _own_name(name: str) -> str:
    """Returns the name of a leaf among the parameters: that of the state, but for the field."""
    return name.removeprefix(FIELD).removeprefix(".")


def saved_params(part_folder: Path, place: int, like: Any) -> Any:
    """Returns the parameters of one run of a part, from its newest checkpoint that can be read.

    Args:
      part_folder: of the part.
      place: of the run among the part's runs.
      like: shapes and dtypes of one run's parameters, which need not be arrays.

    Raises:
      ValueError: nothing was saved yet, or the parameters are those of another program.
    """
    folder = Path(part_folder) / "checkpoints"
    failure = "none yet"
    for step in reversed(saved_steps(folder)):
        try:
            arrays = read_leaves(folder, step, FIELD)
            arrays = {n: x for n, x in arrays.items() if n == FIELD or n.startswith(f"{FIELD}.")}
        except Damaged as error:  # the one before may be whole
            failure = str(error)
            continue
        own = {_own_name(name): x[place] for name, x in arrays.items()}
        return filled(like, own, f"checkpoint {step} in {folder}")
    require(False, "run", f"a checkpoint in {folder}", failure)
