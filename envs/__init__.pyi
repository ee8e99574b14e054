from jaxmarl_core.envs.continuous.multi_agent_brax import multi_agent_brax as multi_agent_brax
from jaxmarl_core.envs.differential.linear_quadratic import (
    linear_quadratic_game as linear_quadratic_game,
)
from jaxmarl_core.envs.differential.linear_quadratic import (
    linear_quadratic_players as linear_quadratic_players,
)
from jaxmarl_core.envs.differential.nonlinear import nonlinear_control as nonlinear_control
from jaxmarl_core.envs.differential.nonlinear import nonlinear_zero_sum as nonlinear_zero_sum
from jaxmarl_core.envs.gridworlds.field_coverage import field_coverage as field_coverage
from jaxmarl_core.envs.gridworlds.grid_game import grid_game as grid_game
from jaxmarl_core.envs.gridworlds.guarding_territory import guarding_territory as guarding_territory
from jaxmarl_core.envs.gridworlds.predator_prey import predator_prey as predator_prey
from jaxmarl_core.envs.gridworlds.rendezvous import rendezvous as rendezvous
from jaxmarl_core.envs.gridworlds.soccer import soccer as soccer
from jaxmarl_core.envs.gridworlds.soccer_4x2 import soccer_4x2 as soccer_4x2
from jaxmarl_core.envs.interop.from_gymnax import gymnax as gymnax
from jaxmarl_core.envs.interop.from_jaxmarl import jaxmarl as jaxmarl
from jaxmarl_core.envs.interop.smax import smax as smax
from jaxmarl_core.envs.matrix_games.repeated_game import matrix_game as matrix_game
from jaxmarl_core.envs.matrix_games.two_step_game import two_step_game as two_step_game
from jaxmarl_core.envs.mean_field.gaussian_squeeze import gaussian_squeeze as gaussian_squeeze
from jaxmarl_core.envs.mean_field.ising import ising as ising
from jaxmarl_core.envs.mean_field.magent.adversarial_pursuit import (
    adversarial_pursuit as adversarial_pursuit,
)
from jaxmarl_core.envs.mean_field.magent.battle_presets import battle as battle
from jaxmarl_core.envs.mean_field.magent.battlefield import battlefield as battlefield
from jaxmarl_core.envs.mean_field.magent.combined_arms import combined_arms as combined_arms
from jaxmarl_core.envs.mean_field.magent.gather import gather as gather
from jaxmarl_core.envs.mean_field.magent.tiger_deer import tiger_deer as tiger_deer
from jaxmarl_core.envs.mean_field.torus_coordination import torus_coordination as torus_coordination
from jaxmarl_core.envs.particles.adversary import simple_adversary as simple_adversary
from jaxmarl_core.envs.particles.collect_treasure import collect_treasure as collect_treasure
from jaxmarl_core.envs.particles.crypto import simple_crypto as simple_crypto
from jaxmarl_core.envs.particles.formation import simple_formation as simple_formation
from jaxmarl_core.envs.particles.line import simple_line as simple_line
from jaxmarl_core.envs.particles.push import simple_push as simple_push
from jaxmarl_core.envs.particles.reference import simple_reference as simple_reference
from jaxmarl_core.envs.particles.rover_tower import rover_tower as rover_tower
from jaxmarl_core.envs.particles.simple import simple as simple
from jaxmarl_core.envs.particles.speaker_listener import (
    simple_speaker_listener as simple_speaker_listener,
)
from jaxmarl_core.envs.particles.spread import simple_spread as simple_spread
from jaxmarl_core.envs.particles.tag import simple_tag as simple_tag
from jaxmarl_core.envs.particles.world_comm import simple_world_comm as simple_world_comm
from jaxmarl_core.lazy import Registry

ENVIRONMENTS: Registry
