"""Particle worlds (MPE): one engine, one file for each scenario."""

from jaxmarl_core.envs.particles.adversary import simple_adversary
from jaxmarl_core.envs.particles.collect_treasure import collect_treasure
from jaxmarl_core.envs.particles.crypto import simple_crypto
from jaxmarl_core.envs.particles.formation import simple_formation
from jaxmarl_core.envs.particles.line import simple_line
from jaxmarl_core.envs.particles.push import simple_push
from jaxmarl_core.envs.particles.reference import simple_reference
from jaxmarl_core.envs.particles.rover_tower import rover_tower
from jaxmarl_core.envs.particles.simple import simple
from jaxmarl_core.envs.particles.speaker_listener import simple_speaker_listener
from jaxmarl_core.envs.particles.spread import simple_spread
from jaxmarl_core.envs.particles.tag import simple_tag
from jaxmarl_core.envs.particles.world_comm import simple_world_comm

__all__ = [
    "collect_treasure",
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
]
