"""Poker and its relatives, played: the same games as those of `solvers.extensive_form`."""

from jaxmarl_core.envs.card_games.card_world import CardWorld, card_world, kuhn, leduc

__all__ = ["CardWorld", "card_world", "kuhn", "leduc"]
