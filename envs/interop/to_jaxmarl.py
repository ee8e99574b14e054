"""Any of our environments as a JaxMARL `MultiAgentEnv`, for learners written for JaxMARL.

Rutherford et al., 2023, arXiv:2311.10090.
"""

from typing import TYPE_CHECKING

from jaxmarl_core.envs.interop.extras import need
from jaxmarl_core.types import Environment

if TYPE_CHECKING:
    from jaxmarl_core.envs.interop.multi_agent_env import ToJaxMARL

EXTRA = "jaxmarl"


def to_jaxmarl(
    env: Environment, *, world_state: bool = False, name: str | None = None
) -> "ToJaxMARL":
    """Returns an environment as a JaxMARL `MultiAgentEnv`; needs the extra "jaxmarl".

    It jits, vmaps and scans, and goes into JaxMARL's wrappers (`LogWrapper`, `CTRolloutManager`).

    Args:
      env: one of ours.
      world_state: whether observations have an entry "world_state", as SMAX's have; it is also
        what `get_world_state(state)` returns.
      name: what the environment is called there; None: its name in the registry. JaxMARL's
        `CTRolloutManager` treats names with "smax", "overcooked" and "hanabi" in them specially:
        one with "smax", and `world_state`, makes it use the masks and the world's state.

    Raises:
      ImportError: JaxMARL is not installed.
      ValueError: actions that JaxMARL has no space for, naming the group.
    """
    need("jaxmarl.environments.multi_agent_env", EXTRA)
    from jaxmarl_core.envs.interop.multi_agent_env import ToJaxMARL

    return ToJaxMARL(env, world_state, name)
