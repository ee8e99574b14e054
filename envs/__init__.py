"""Environments by name: ENVIRONMENTS maps a name to `builder(**options) -> Environment`."""

from jaxmarl_core.envs.differential import (
    linear_quadratic_game,
    linear_quadratic_players,
    nonlinear_control,
    nonlinear_zero_sum,
)
from jaxmarl_core.envs.matrix_games import matrix_game
from jaxmarl_core.envs.mean_field.battle import battle, battlefield
from jaxmarl_core.envs.mean_field.gaussian_squeeze import gaussian_squeeze
from jaxmarl_core.envs.mean_field.ising import ising
from jaxmarl_core.envs.mean_field.magent import combined_arms
from jaxmarl_core.envs.mean_field.torus_coordination import torus_coordination

__all__ = [
    "ENVIRONMENTS",
    "battle",
    "battlefield",
    "combined_arms",
    "gaussian_squeeze",
    "ising",
    "linear_quadratic_game",
    "linear_quadratic_players",
    "matrix_game",
    "nonlinear_control",
    "nonlinear_zero_sum",
    "torus_coordination",
]

ENVIRONMENTS = {
    "battle": battle,
    "battlefield": battlefield,
    "combined_arms": combined_arms,
    "gaussian_squeeze": gaussian_squeeze,
    "ising": ising,
    "linear_quadratic_game": linear_quadratic_game,
    "linear_quadratic_players": linear_quadratic_players,
    "matrix_game": matrix_game,
    "nonlinear_control": nonlinear_control,
    "nonlinear_zero_sum": nonlinear_zero_sum,
    "torus_coordination": torus_coordination,
}
