"""Environments by name: ENVIRONMENTS maps a name to `builder(**options) -> Environment`."""

from jaxmarl_core.envs.continuous import multi_agent_brax
from jaxmarl_core.envs.differential import (
    linear_quadratic_game,
    linear_quadratic_players,
    nonlinear_control,
    nonlinear_zero_sum,
)
from jaxmarl_core.envs.gridworlds.field_coverage import field_coverage
from jaxmarl_core.envs.gridworlds.grid_game import grid_game
from jaxmarl_core.envs.gridworlds.guarding_territory import guarding_territory
from jaxmarl_core.envs.gridworlds.predator_prey import predator_prey
from jaxmarl_core.envs.gridworlds.rendezvous import rendezvous
from jaxmarl_core.envs.gridworlds.soccer import soccer
from jaxmarl_core.envs.gridworlds.soccer_4x2 import soccer_4x2
from jaxmarl_core.envs.interop import gymnax, jaxmarl, smax
from jaxmarl_core.envs.matrix_games import matrix_game
from jaxmarl_core.envs.matrix_games.two_step_game import two_step_game
from jaxmarl_core.envs.mean_field.battle import battle, battlefield
from jaxmarl_core.envs.mean_field.gaussian_squeeze import gaussian_squeeze
from jaxmarl_core.envs.mean_field.ising import ising
from jaxmarl_core.envs.mean_field.magent import adversarial_pursuit, combined_arms, gather
from jaxmarl_core.envs.mean_field.torus_coordination import torus_coordination
from jaxmarl_core.envs.particles import (
    collect_treasure,
    rover_tower,
    simple,
    simple_adversary,
    simple_crypto,
    simple_formation,
    simple_line,
    simple_push,
    simple_reference,
    simple_speaker_listener,
    simple_spread,
    simple_tag,
    simple_world_comm,
)

__all__ = [
    "ENVIRONMENTS",
    "adversarial_pursuit",
    "battle",
    "battlefield",
    "collect_treasure",
    "combined_arms",
    "field_coverage",
    "gather",
    "gaussian_squeeze",
    "grid_game",
    "guarding_territory",
    "gymnax",
    "ising",
    "jaxmarl",
    "linear_quadratic_game",
    "linear_quadratic_players",
    "matrix_game",
    "multi_agent_brax",
    "nonlinear_control",
    "nonlinear_zero_sum",
    "predator_prey",
    "rendezvous",
    "rover_tower",
    "simple",
    "simple_adversary",
    "simple_crypto",
    "simple_formation",
    "simple_line",
    "simple_push",
    "simple_reference",
    "simple_speaker_listener",
    "simple_spread",
    "simple_tag",
    "simple_world_comm",
    "smax",
    "soccer",
    "soccer_4x2",
    "torus_coordination",
    "two_step_game",
]

ENVIRONMENTS = {
    "adversarial_pursuit": adversarial_pursuit,
    "battle": battle,
    "battlefield": battlefield,
    "collect_treasure": collect_treasure,
    "combined_arms": combined_arms,
    "field_coverage": field_coverage,
    "gaussian_squeeze": gaussian_squeeze,
    "gather": gather,
    "grid_game": grid_game,
    "guarding_territory": guarding_territory,
    "gymnax": gymnax,
    "ising": ising,
    "jaxmarl": jaxmarl,
    "linear_quadratic_game": linear_quadratic_game,
    "linear_quadratic_players": linear_quadratic_players,
    "matrix_game": matrix_game,
    "multi_agent_brax": multi_agent_brax,
    "nonlinear_control": nonlinear_control,
    "nonlinear_zero_sum": nonlinear_zero_sum,
    "predator_prey": predator_prey,
    "rendezvous": rendezvous,
    "rover_tower": rover_tower,
    "simple": simple,
    "simple_adversary": simple_adversary,
    "simple_crypto": simple_crypto,
    "simple_formation": simple_formation,
    "simple_line": simple_line,
    "simple_push": simple_push,
    "simple_reference": simple_reference,
    "simple_speaker_listener": simple_speaker_listener,
    "simple_spread": simple_spread,
    "simple_tag": simple_tag,
    "simple_world_comm": simple_world_comm,
    "smax": smax,
    "soccer": soccer,
    "soccer_4x2": soccer_4x2,
    "torus_coordination": torus_coordination,
    "two_step_game": two_step_game,
}
