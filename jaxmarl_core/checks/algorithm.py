"""What every algorithm promises, checked on one in an environment: sentences for what it breaks.

    for sentence in check_algorithm(my_algorithm(env), env): print(sentence)

Each check is a function of a `Trained`, an algorithm with a few updates of two runs, and yields
complaints. The promises are those of `types.Algorithm`, and what `sweeps` relies on: one program
however the numbers vary, a state that is all there is, and nothing that passes between runs.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core import hparams as hp
from jaxmarl_core.checks.complaints import (
    Complaints,
    changed,
    first_of_each,
    kind,
    kinds,
    outside,
    unequal,
)
from jaxmarl_core.checks.environment import first_line
from jaxmarl_core.errors import require
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import MAY_OVERFLOW, MEASURED_AT_TIMES, Algorithm, Environment

NUM_UPDATES = 4
ROUNDING = 1e-5


class Trained(NamedTuple):
    """An algorithm, its environment, and two runs of a few updates."""

    algorithm: Algorithm
    env: Environment
    states: Any  # leaves [2, ...], before the first update
    hparams: Any  # leaves [2], equal in both
    resume: Any  # (keys [2], states, hparams, first) -> states and metrics [2, NUM_UPDATES / 2]
    keys: jax.Array  # [2], equal
    after: Any  # states after NUM_UPDATES updates
    metrics: dict[str, np.ndarray]  # [2, NUM_UPDATES]


def check_algorithm(algorithm: Algorithm, env: Environment) -> list[str]:
    """Returns what is wrong with an algorithm in an environment, a sentence each.

    It is compiled twice and trained for a few updates. `check_environment` comes first.
    """
    found = first_of_each(TRACED_CHECKS, (algorithm, env))
    if found:
        return found
    try:
        trained = train_twice(algorithm, env)
    except Exception as error:
        return [f"It cannot be trained: {type(error).__name__}: {first_line(error)}"]
    return first_of_each(CHECKS, trained)


def train_twice(algorithm: Algorithm, env: Environment) -> Trained:
    """Returns two runs of the same key and numbers, trained side by side in one program."""
    _, resume = make_train(algorithm, env, Schedule(NUM_UPDATES // 2))
    both = jax.jit(jax.vmap(resume, (0, 0, 0, None)))
    rows = hp.table(algorithm.hparams)
    rows = jax.tree.map(lambda x: jnp.repeat(x, 2, axis=0), rows)
    start = jax.jit(jax.vmap(algorithm.init))
    init_keys, keys = (jnp.stack([key, key]) for key in jax.random.split(jax.random.key(0)))
    states = start(init_keys, rows)
    between, first = both(keys, states, rows, jnp.int32(0))
    after, second = both(keys, between, rows, jnp.int32(NUM_UPDATES // 2))
    metrics = {name: np.concatenate([first[name], second[name]], axis=1) for name in first}
    return Trained(algorithm, env, states, rows, both, keys, after, metrics)


def traces(subject: tuple[Algorithm, Environment]) -> Complaints:
    """`init` and `update` trace with every number a tracer."""
    algorithm, _ = subject
    numbers = jax.tree.map(lambda _: jax.ShapeDtypeStruct((), jnp.float32), algorithm.hparams)
    key = jax.eval_shape(lambda: jax.random.key(0))
    try:
        state = jax.eval_shape(algorithm.init, key, numbers)
        index = jax.ShapeDtypeStruct((), jnp.int32)
        after, metrics = jax.eval_shape(algorithm.update, key, state, numbers, index)
    except jax.errors.TracerBoolConversionError:
        yield "It asks in Python whether a traced number holds; jnp.where or lax.cond can ask."
        return
    except jax.errors.ConcretizationTypeError:
        yield "It needs the value of a number while it is traced: make that a field of its Config."
        return
    except Exception as error:
        yield f"It does not trace: {type(error).__name__}: {first_line(error)}"
        return
    if not hasattr(state, "params"):
        yield "Its state has no field `params`, which its policy acts by."
    for words in changed(kinds(state), kinds(after)):
        yield f"state{words} in an update: a scan wants it the same."
    if not metrics:
        yield "update gives no metrics: there is nothing to look at."
    for name, x in metrics.items():
        if (x.shape, x.dtype) != ((), "float32"):
            yield f"The metric {name} should be float32[], and is {kind(x)}."


def declares_its_numbers(subject: tuple[Algorithm, Environment]) -> Complaints:
    """Every hyper-parameter is a number in its declared range."""
    algorithm, _ = subject
    if not dataclasses.is_dataclass(algorithm.hparams):
        yield "Its hparams are no dataclass; see hparams.hparam."
        return
    for name in hp.names(algorithm.hparams):
        if not isinstance(getattr(algorithm.hparams, name), int | float):
            yield f"The default of {name} should be a number."
    try:
        hp.check(algorithm.hparams)
    except (ValueError, TypeError) as error:
        yield f"A default is out of its range: {error}."


def counts_its_steps(subject: tuple[Algorithm, Environment]) -> Complaints:
    """`env_steps` says what an update plays."""
    algorithm, _ = subject
    if not isinstance(algorithm.env_steps, int) or algorithm.env_steps < 1:
        yield f"env_steps should be a number of steps, at least 1, and is {algorithm.env_steps!r}."


def acts_inside_its_spaces(trained: Trained) -> Complaints:
    """Actions are of their spaces and legal, and memory keeps its shapes."""
    policy, env = trained.algorithm.policy, trained.env
    params = jax.tree.map(lambda x: x[0], trained.after.params)
    _, timestep = jax.jit(env.reset)(jax.random.key(5))
    start = policy.memory()
    for mode in ("act", "greedy"):
        choose = jax.jit(getattr(policy, mode))
        actions, memory = choose(params, jax.random.key(6), timestep, start)
        for words in changed(kinds(start), kinds(memory)):
            yield f"policy.{mode}: memory{words}."
        for name, group in env.groups.items():
            where = f'policy.{mode}: the action of group "{name}"'
            if name not in actions:
                yield f"{where} is missing."
                continue
            yield from outside(group.action, actions[name], group.size, where)
            mask = timestep.action_mask.get(name)
            if mask is not None and not np.asarray(mask)[range(group.size), actions[name]].all():
                yield f"{where} is not legal."


def stays_finite(trained: Trained) -> Complaints:
    """No parameter and no metric is lost; what counts episodes may be empty."""
    for name, values in trained.metrics.items():
        may_be_none = name.startswith((*MEASURED_AT_TIMES, *MAY_OVERFLOW))
        if not may_be_none and not np.isfinite(values).all():
            yield f"The metric {name} is no number after {np.isfinite(values[0]).argmin()} updates."
    if (trained.metrics["finite"] != 1).any():
        yield "A parameter is no number after a few updates."


def learns_something(trained: Trained) -> Complaints:
    """A few updates change the parameters."""
    if not unequal(trained.states.params, trained.after.params):
        yield f"{NUM_UPDATES} updates changed no parameter."


def runs_are_independent(trained: Trained) -> Complaints:
    """Beside a run of other numbers, a run is what it was."""
    for leaf in unequal(*(jax.tree.map(lambda x, i=i: x[i], trained.after) for i in (0, 1))):
        yield f"state{leaf} differs between two runs of the same key and numbers."
        return
    first = hp.fields(trained.hparams)[0].name if hp.fields(trained.hparams) else None
    if first is None:
        return
    other = getattr(trained.hparams, first).at[1].multiply(0.5)
    rows = dataclasses.replace(trained.hparams, **{first: other})
    states, _ = trained.resume(trained.keys, trained.states, trained.hparams, jnp.int32(0))
    beside, _ = trained.resume(trained.keys, trained.states, rows, jnp.int32(0))
    for leaf in unequal(*(jax.tree.map(lambda x: x[0], x) for x in (states, beside))):
        yield f"state{leaf} of a run changes with the numbers of the run beside it."
        return


def is_all_in_its_state(trained: Trained) -> Complaints:
    """The same program on the same state repeats bit for bit: nothing is kept outside of it."""
    middle, _ = trained.resume(trained.keys, trained.states, trained.hparams, jnp.int32(0))
    half = jnp.int32(NUM_UPDATES // 2)
    again, _ = trained.resume(trained.keys, middle, trained.hparams, half)
    for leaf in unequal(again, trained.after):
        yield f"state{leaf} is another when the same updates are done again."
        return
    count = trained.resume._cache_size()
    if count != 1:
        yield f"update was compiled {count} times."


def resumes_as_if_unbroken(trained: Trained) -> Complaints:
    """Updates cut into two calls are those of one call, up to rounding."""
    _, resume = make_train(trained.algorithm, trained.env, Schedule(NUM_UPDATES))
    whole = jax.jit(jax.vmap(resume, (0, 0, 0, None)))
    _, metrics = whole(trained.keys, trained.states, trained.hparams, jnp.int32(0))
    require(metrics.keys() == trained.metrics.keys(), "metrics", "the same names", list(metrics))
    for name in unequal(metrics, {n: trained.metrics[n] for n in metrics}, 100 * ROUNDING):
        yield f"The metric {name} of a run in one piece is not that of one cut in two."
        return


TRACED_CHECKS = (traces, declares_its_numbers, counts_its_steps)
CHECKS = (
    acts_inside_its_spaces,
    stays_finite,
    learns_something,
    runs_are_independent,
    is_all_in_its_state,
    resumes_as_if_unbroken,
)
