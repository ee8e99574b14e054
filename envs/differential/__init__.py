"""Differential games: several players steer one system in continuous time."""

from jaxmarl_core.envs.differential.environment import (
    DifferentialGame,
    DifferentialState,
    differential_game,
)
from jaxmarl_core.envs.differential.integration import integrate, runge_kutta
from jaxmarl_core.envs.differential.linear_quadratic import (
    LinearQuadratic,
    linear_quadratic_game,
    linear_quadratic_players,
    zero_sum_costs,
)
from jaxmarl_core.envs.differential.nonlinear import (
    NonlinearControl,
    NonlinearZeroSum,
    nonlinear_control,
    nonlinear_zero_sum,
)

__all__ = [
    "DifferentialGame",
    "DifferentialState",
    "LinearQuadratic",
    "NonlinearControl",
    "NonlinearZeroSum",
    "differential_game",
    "integrate",
    "linear_quadratic_game",
    "linear_quadratic_players",
    "nonlinear_control",
    "nonlinear_zero_sum",
    "runge_kutta",
    "zero_sum_costs",
]
