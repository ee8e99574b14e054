"""Environments by name: ENVIRONMENTS maps a name to `builder(**options) -> Environment`."""

from jaxmarl_core.envs.matrix_games import matrix_game
from jaxmarl_core.envs.mean_field.battle import battle

__all__ = ["ENVIRONMENTS", "battle", "matrix_game"]

ENVIRONMENTS = {"battle": battle, "matrix_game": matrix_game}
