"""A policy as ONNX, for programs without JAX; the extra `onnx` converts it (jax2onnx).

Inputs and outputs are those of `policy_function`, the first axis free. A network of random numbers
has no place in ONNX: where a policy draws, uniform numbers in [0, 1) are inputs instead of its key,
"uniform.0" and so on, to be drawn afresh at every step.
"""

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxmarl_core.errors import package, require
from jaxmarl_core.store.policy_function import KEY, Arrays, PolicyFunction, batched

_UNKNOWN = object()  # stands for what is made of a key
_CALLS = ("jit", "pjit")


def to_onnx(function: PolicyFunction, name: str = "policy") -> bytes:
    """Returns the policy's function as an ONNX model.

    Raises:
      ValueError: jax2onnx is not installed, or the policy draws what is not made of uniform
        numbers.
    """
    for logger in ("jax2onnx", "onnx_ir"):  # they warn of every plugin left out and constant
        logging.getLogger(logger).setLevel(logging.ERROR)
    jax2onnx = package("jax2onnx", "onnx", "onnx")
    (size,) = jax.export.symbolic_shape("batch")
    shapes = batched(onnx_inputs(function), size)
    # Traced here, to primitives: while jax2onnx traces it replaces functions of JAX and flax by
    # ONNX's, which are not always the same. Its OneHot takes -1, in a memory of actions "none yet",
    # for the last one; and some of them cannot be batched.
    traced = jax.make_jaxpr(lambda arrays: without_key(function, arrays))(shapes)
    inputs, outputs = sorted(shapes), sorted(function.outputs)  # the order of a dict's leaves
    with _as_they_were(jnp, jax.lax, jax.nn):
        model = jax2onnx.to_onnx(
            lambda *arrays: _evaluate(
                traced.jaxpr, traced.consts, list(arrays), _bind_one, bind=_bind_portably
            ),
            [shapes[name] for name in inputs],
            model_name=name,
            input_names=inputs,
            output_names=outputs,
        )
    return model.SerializeToString()


@contextmanager
def _as_they_were(*modules: ModuleType) -> Iterator[None]:
    """Puts back the functions of modules that are replaced within it.

    jax2onnx leaves `jnp.cumsum` replaced by one that takes no axis in its place.
    """
    before = [dict(vars(module)) for module in modules]
    try:
        yield
    finally:
        for module, functions in zip(modules, before):
            for name, function in functions.items():
                if vars(module).get(name) is not function:
                    setattr(module, name, function)


def onnx_inputs(function: PolicyFunction) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the inputs of the ONNX model: the function's, with uniform numbers for its key."""
    inputs = {name: x for name, x in function.inputs.items() if name != KEY}
    shapes = jax.eval_shape(partial(draws, function), batched(function.inputs, 1))
    drawn = {name: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for name, x in shapes.items()}
    return inputs | drawn


def draws(function: PolicyFunction, arrays: Arrays) -> Arrays:
    """Returns the uniform numbers that the function draws with the keys it is given, by input."""
    found: Arrays = {}

    def uniform(equation, values):
        (drawn,), (_, low, high) = _bind(equation, values), values
        found[_uniform_name(len(found))] = (drawn - low) / (high - low)
        return drawn

    if KEY in function.inputs:
        traced, values = _traced(function, arrays)
        _evaluate(traced.jaxpr, traced.consts, values, uniform)
    return found


def without_key(function: PolicyFunction, arrays: Arrays) -> Arrays:
    """Returns what the function does with uniform numbers that are given instead of drawn.

    Raises:
      ValueError: something that is no uniform number is made of the key.
    """
    count = itertools.count()

    def uniform(equation, values):
        _, low, high = values
        return low + arrays[_uniform_name(next(count))] * (high - low)

    size = next(iter(arrays.values())).shape[0]
    shapes = batched(function.inputs, size)
    own = {name: arrays.get(name, shapes[name]) for name in function.inputs}
    traced, values = _traced(function, own)
    values = [_UNKNOWN if isinstance(x, jax.ShapeDtypeStruct) else x for x in values]  # the key
    leaves = _evaluate(traced.jaxpr, traced.consts, values, uniform)
    known = all(x is not _UNKNOWN for x in leaves)
    require(known, "onnx", "a policy that draws uniform numbers alone", "other random numbers")
    return dict(zip(sorted(function.outputs), leaves))


def _uniform_name(number: int) -> str:
    return f"uniform.{number}"


def _traced(function: PolicyFunction, arrays: Arrays) -> tuple[core.ClosedJaxpr, list[Any]]:
    """Returns the function's program, and its arguments in order."""
    shapes = {n: jax.ShapeDtypeStruct(x.shape, x.dtype) for n, x in arrays.items()}
    return jax.make_jaxpr(function.call)(shapes), jax.tree.leaves(arrays)


def _bind(equation: Any, values: list[Any]) -> list[Any]:
    options = equation.primitive.get_bind_params(equation.params)
    found = equation.primitive.bind(*values, **options)
    return list(found) if equation.primitive.multiple_results else [found]


def _bind_one(equation: Any, values: list[Any]) -> Any:
    return _bind(equation, values)[0]


def _bind_portably(equation: Any, values: list[Any]) -> list[Any]:
    """Returns the results of an equation in operations that onnxruntime has for their types."""
    is_choice = equation.primitive.name == "select_n" and len(values) == 3
    if is_choice and equation.outvars[0].aval.dtype == bool:  # it chooses between numbers alone
        which, if_false, if_true = values
        return [(which & if_true) | (~which & if_false)]
    return _bind(equation, values)


def _evaluate(
    jaxpr: Any,
    consts: Any,
    values: list[Any],
    uniform: Callable,
    wanted: Any = None,
    bind: Callable = _bind,
) -> list[Any]:
    """Returns the results of a program in which `uniform(equation, values)` draws.

    The values of a draw are a key and the two ends. What is made of an unknown is unknown. Nothing
    is computed, and so nothing converted, of which no wanted result is made.

    Args:
      jaxpr, consts, values: the program, its constants and its arguments.
      uniform: what draws.
      wanted: which results are; all by default. The others are unknown.
      bind: what computes everything else.
    """
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, consts)) | dict(zip(jaxpr.invars, values))
    literal = lambda x: np.asarray(x.val, x.aval.dtype)
    read = lambda x: literal(x) if isinstance(x, core.Literal) else known.get(x, _UNKNOWN)
    wanted = [True] * len(jaxpr.outvars) if wanted is None else wanted
    results_of = [x for x, is_wanted in zip(jaxpr.outvars, wanted) if is_wanted]
    for equation, live in _live(jaxpr, results_of):
        inputs = [read(x) for x in equation.invars]
        is_call = equation.primitive.name in _CALLS
        if is_call and equation.params["name"] == "_uniform":  # jax.random.uniform
            results = [uniform(equation, inputs)]
        elif is_call:
            inner = equation.params["jaxpr"]
            results = _evaluate(inner.jaxpr, inner.consts, inputs, uniform, live, bind)
        elif any(x is _UNKNOWN for x in inputs):
            results = [_UNKNOWN] * len(equation.outvars)
        else:
            results = bind(equation, inputs)
        known |= dict(zip(equation.outvars, results))
    return [read(x) for x in jaxpr.outvars]


def _live(jaxpr: Any, wanted: list[Any]) -> list[tuple[Any, list[bool]]]:
    """Returns the equations that wanted variables are made of, and which of their results are."""
    needed = {x for x in wanted if not isinstance(x, core.Literal)}
    found = []
    for equation in reversed(jaxpr.eqns):
        live = [x in needed for x in equation.outvars]
        if any(live):
            found.append((equation, live))
            needed |= {x for x in equation.invars if not isinstance(x, core.Literal)}
    return found[::-1]


def run_onnx(model: bytes, arrays: Arrays, outputs: Any) -> Arrays:
    """Returns what onnxruntime makes of the inputs, output -> array.

    Raises:
      ValueError: onnxruntime is not installed.
    """
    onnxruntime = package("onnxruntime", "onnx", "onnx")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    wanted = {x.name for x in session.get_inputs()}
    feeds = {name: np.asarray(x) for name, x in arrays.items() if name in wanted}
    return dict(zip(outputs, session.run(list(outputs), feeds)))
