"""Other libraries' worlds as ours, and ours as theirs; their packages are imported when needed."""

from jaxmarl_core.envs.interop.from_gymnax import gymnax
from jaxmarl_core.envs.interop.from_jaxmarl import jaxmarl
from jaxmarl_core.envs.interop.smax import smax
from jaxmarl_core.envs.interop.to_jaxmarl import to_jaxmarl
from jaxmarl_core.envs.interop.to_pettingzoo import to_pettingzoo

__all__ = ["gymnax", "jaxmarl", "smax", "to_jaxmarl", "to_pettingzoo"]
