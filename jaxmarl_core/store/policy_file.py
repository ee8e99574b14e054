"""A policy on its own: `policy.json` says what it is, `params.safetensors` holds its numbers.

Neither executes anything when it is read. The numbers lie under their names in the pytree,
"actors.agents.params.Dense_0.kernel"; `policy.json` names the algorithm, the environment and their
options, from which the functions are built again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from jaxmarl_core.errors import require
from jaxmarl_core.store import atomic
from jaxmarl_core.store.named_leaves import filled, is_key, named_leaves

FORMAT = "jaxmarl-core policy 1"
DESCRIPTION, NUMBERS = "policy.json", "params.safetensors"


def write_policy(folder: Path, description: Mapping[str, Any], params: Any) -> None:
    """Writes a policy's description, plain JSON values, and its parameters; the folder is there."""
    atomic.write(Path(folder) / NUMBERS, to_safetensors(named_leaves(params)))
    text = json.dumps({"format": FORMAT, **description}, indent=2)
    atomic.write(Path(folder) / DESCRIPTION, text + "\n")


def to_safetensors(arrays: Mapping[str, Any]) -> bytes:
    """Returns arrays by name as safetensors; typed keys as their data, empty arrays left out."""
    raw = lambda x: np.array(jax.random.key_data(x) if is_key(x) else x, order="C")
    return save({name: raw(x) for name, x in arrays.items() if x.size})


def holds_policy(folder: Path) -> bool:
    """Returns whether a folder holds a policy on its own."""
    return (Path(folder) / DESCRIPTION).is_file()


def read_description(folder: Path) -> dict[str, Any]:
    """Returns what a policy's `policy.json` says; raises ValueError naming a file that is wrong."""
    path = Path(folder) / DESCRIPTION
    try:
        description = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, {error}") from None
    found = description.get("format") if isinstance(description, dict) else None
    require(found == FORMAT, str(path), f'"format": "{FORMAT}"', found)
    return description


def read_params(folder: Path, like: Any) -> Any:
    """Returns a policy's parameters; `like` has their structure, shapes and dtypes.

    Raises:
      ValueError: the file is damaged, or holds other parameters; the message names it.
    """
    path = Path(folder) / NUMBERS
    require(path.is_file(), "policy", f"a file {NUMBERS}", f"none in {folder}")
    try:
        arrays = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: expected safetensors, {error}") from None
    return filled(like, arrays, str(path))
