"""Environments by name: ENVIRONMENTS maps a name to `builder(**options) -> Environment`."""

from jaxmarl_core.envs.matrix_games import matrix_game
from jaxmarl_core.envs.mean_field.battle import battle
from jaxmarl_core.envs.mean_field.gaussian_squeeze import gaussian_squeeze
from jaxmarl_core.envs.mean_field.ising import ising
from jaxmarl_core.envs.mean_field.torus_coordination import torus_coordination

__all__ = [
    "ENVIRONMENTS",
    "battle",
    "gaussian_squeeze",
    "ising",
    "matrix_game",
    "torus_coordination",
]

ENVIRONMENTS = {
    "battle": battle,
    "gaussian_squeeze": gaussian_squeeze,
    "ising": ising,
    "matrix_game": matrix_game,
    "torus_coordination": torus_coordination,
}
