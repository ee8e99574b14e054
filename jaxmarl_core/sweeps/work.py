"""How much arithmetic a function is, counted before it is compiled for anything."""

import math
from typing import Any

import jax
from jax.extend import core


def product_flops(function: Any, *arguments: Any) -> float:
    """Returns the floating point operations of all products of matrices and convolutions.

    A multiplication and an addition are two. Loops count by their length; one whose length is
    decided while it runs counts as one trip, and of branches the dearest counts. The rest of a
    learner's arithmetic is element by element, and bound by memory rather than by arithmetic.

    Args:
      function: to be traced.
      arguments: arrays, or their shapes.
    """
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def _flops(jaxpr: core.Jaxpr) -> float:
    return sum(map(_of_equation, jaxpr.eqns))


def _of_equation(equation: core.JaxprEqn) -> float:
    name, told = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = told["dimension_numbers"]
        shape = _shape(equation.invars[0])
        each = math.prod(shape[axis] for axis in contracted)
        return 2.0 * math.prod(_shape(equation.outvars[0])) * each
    if name == "conv_general_dilated":
        weights, out_axis = _shape(equation.invars[1]), told["dimension_numbers"].rhs_spec[0]
        each = math.prod(weights) // weights[out_axis]
        return 2.0 * math.prod(_shape(equation.outvars[0])) * each
    if name == "cond":
        return max(_flops(branch.jaxpr) for branch in told["branches"])
    times = told["length"] if name == "scan" else 1
    return times * sum(_flops(jaxpr) for jaxpr in _within(told))


def _shape(value: Any) -> tuple[int, ...]:
    return value.aval.shape


def _within(told: dict[str, Any]) -> list[core.Jaxpr]:
    """Returns the programs that an equation's parameters hold."""
    found = []
    for value in told.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if isinstance(each, core.ClosedJaxpr):
                found.append(each.jaxpr)
            elif isinstance(each, core.Jaxpr):
                found.append(each)
    return found
