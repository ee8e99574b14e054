"""Games of a few moves: any game in normal form, repeated, and the two-step game of QMIX."""

from jaxmarl_core.envs.matrix_games.library import GAMES, game
from jaxmarl_core.envs.matrix_games.repeated_game import (
    GameState,
    RepeatedGame,
    from_payoffs,
    matrix_game,
)
from jaxmarl_core.envs.matrix_games.two_step_game import two_step_game

__all__ = [
    "GAMES",
    "GameState",
    "RepeatedGame",
    "from_payoffs",
    "game",
    "matrix_game",
    "two_step_game",
]
