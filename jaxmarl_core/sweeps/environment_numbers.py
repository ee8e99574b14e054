"""Numbers of a world as hyper-parameters of its runs: swept without compiling again.

A world is a pytree whose numbers are leaves. Here some of them become fields of the hparams beside
the algorithm's own, so that all that sweeps a number sweeps them too; where a run begins, updates
or is evaluated, they take their places in the world, and the learner is built for that world.

    [grid.environment_numbers]
    slip = [0.0, 0.1, 0.2]
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flax import struct

from jaxmarl_core import hparams as hp
from jaxmarl_core.errors import require, unknown
from jaxmarl_core.hparams import hparam
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import Algorithm, Environment

Make = Callable[[Environment], Algorithm]


def with_numbers(make: Make, env: Environment, names: Sequence[str]) -> Algorithm:
    """Returns the algorithm for a world some of whose numbers stand in its hparams.

    Args:
      make: from a world to the algorithm that learns in it.
      env: the world, with its numbers as they are by default.
      names: of options of the world that are leaves of it; see `check_numbers`.

    Raises:
      ValueError: an option that is no number of the world, or is a hyper-parameter, too.
    """
    alone = make(env)
    known = leaves(env)
    for name in names:
        if name not in known:
            field = "environment_numbers"
            is_static = hasattr(env, name)
            expected = "a number of the world; [grid.environment_options] compiles for each value"
            require(not is_static, f"{field}.{name}", expected, "an option that shapes the program")
            raise ValueError(unknown(field, name, known))
        own = name not in hp.names(alone.hparams)
        require(own, f"environment_numbers.{name}", "no hyper-parameter of the learner", "one")
    both = _extended(alone.hparams, {name: known[name] for name in names})

    def init(key, hparams):
        return make(_world(env, hparams, names)).init(key, _own(alone.hparams, hparams))

    def update(key, state, hparams, update_index):
        algorithm = make(_world(env, hparams, names))
        return algorithm.update(key, state, _own(alone.hparams, hparams), update_index)

    return alone._replace(init=init, update=update, hparams=both)


def resume_in(
    algorithm: Algorithm, env: Environment, names: Sequence[str], schedule: Schedule
) -> Callable:
    """Returns `resume` of `make_train`; runs are evaluated in worlds with their own numbers."""
    if not names:
        return make_train(algorithm, env, schedule)[1]

    def resume(key, state, hparams, first=0):
        _, go_on = make_train(algorithm, _world(env, hparams, names), schedule)
        return go_on(key, state, hparams, first)

    return resume


def leaves(env: Environment) -> dict[str, float]:
    """Returns the numbers of a world that are fields of it and leaves of its pytree."""
    if not dataclasses.is_dataclass(env):
        return {}
    fields = (f.name for f in dataclasses.fields(env) if f.metadata.get("pytree_node", True))
    values = {name: getattr(env, name) for name in fields}
    return {name: x for name, x in values.items() if isinstance(x, float)}


def check_numbers(
    make_world: Callable[..., Environment], env: Environment, table: Any, names: Sequence[str]
) -> None:
    """Checks on the host that the world with each row's numbers is what its builder makes of them.

    Args:
      make_world: from options by name to the world; it raises for a value out of range.
      env: the world by default.
      table: hparams, leaves [H].
      names: of the numbers of the world.

    Raises:
      ValueError: a value is out of range, or makes another world than the number alone does.
    """
    columns = [np.asarray(getattr(table, name)) for name in names]
    for values in dict.fromkeys(zip(*(column.tolist() for column in columns))):
        told = dict(zip(names, values))
        built, replaced = make_world(**told), env.replace(**told)  # pyright: ignore
        alike = jax.tree.structure(built) == jax.tree.structure(replaced)
        alike = alike and all(
            np.array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32))
            for a, b in zip(jax.tree.leaves(built), jax.tree.leaves(replaced))
        )
        expected = "options that change one number each; [grid.environment_options] takes others"
        require(alike, "environment_numbers", expected, ", ".join(names))


def _extended(hparams: Any, numbers: dict[str, float]) -> Any:
    """Returns hparams with these numbers behind their own; they may be any number."""
    fields = {f.name: dataclasses.field(default=getattr(hparams, f.name), metadata=f.metadata)
              for f in hp.fields(hparams)}  # fmt: skip
    fields |= {name: hparam(value) for name, value in numbers.items()}
    body = {"__annotations__": dict.fromkeys(fields, float), **fields}
    return struct.dataclass(type("Hparams", (), body))()


def _own(like: Any, hparams: Any) -> Any:
    """Returns the algorithm's own of extended hparams."""
    return like.replace(**{name: getattr(hparams, name) for name in hp.names(like)})


def _world(env: Any, hparams: Any, names: Sequence[str]) -> Any:
    return env.replace(**{name: getattr(hparams, name) for name in names})
