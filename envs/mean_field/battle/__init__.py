"""The battle game of MAgent: rules as pure functions, and the environment made of them."""

from jaxmarl_core.envs.mean_field.battle.actions import team_mean_action
from jaxmarl_core.envs.mean_field.battle.attacks import Attacks, resolve_attacks
from jaxmarl_core.envs.mean_field.battle.battlefield import battlefield
from jaxmarl_core.envs.mean_field.battle.build import PRESETS, battle
from jaxmarl_core.envs.mean_field.battle.environment import Battle, BattleState
from jaxmarl_core.envs.mean_field.battle.moves import resolve_moves
from jaxmarl_core.envs.mean_field.battle.observation import features, team_images, views
from jaxmarl_core.envs.mean_field.battle.render import render
from jaxmarl_core.envs.mean_field.magent.units import random_orders

__all__ = [
    "PRESETS",
    "Attacks",
    "Battle",
    "BattleState",
    "battle",
    "battlefield",
    "features",
    "random_orders",
    "render",
    "resolve_attacks",
    "resolve_moves",
    "team_images",
    "team_mean_action",
    "views",
]
