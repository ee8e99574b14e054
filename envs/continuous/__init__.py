"""Worlds of continuous bodies and torques."""

from jaxmarl_core.envs.continuous.multi_agent_brax import multi_agent_brax

__all__ = ["multi_agent_brax"]
