"""Any of our environments as a PettingZoo `ParallelEnv`, for learners that live outside of JAX.

Terry et al., 2021, arXiv:2009.14471.
"""

from typing import TYPE_CHECKING

from jaxmarl_core.envs.interop.extras import need
from jaxmarl_core.types import Environment

if TYPE_CHECKING:
    from jaxmarl_core.envs.interop.parallel_env import ToPettingZoo

EXTRA = "pettingzoo"


def to_pettingzoo(
    env: Environment,
    seed: int = 0,
    *,
    masks: str = "info",
    render_mode: str | None = None,
    render_fps: int = 5,
    name: str | None = None,
    flatten: bool = False,
) -> "ToPettingZoo":
    """Returns an environment as a PettingZoo `ParallelEnv`; needs the extra "pettingzoo".

    `pettingzoo.utils.parallel_to_aec(to_pettingzoo(env))` plays it agent by agent.

    Args:
      env: one of ours.
      seed: at least 0; of the first episode and those after it, until `reset(seed=...)` says
        otherwise, and of the spaces' `sample`.
      masks: where agents find which actions are legal, [A] int8, or a dict of such for an action
        of several parts, if the environment says so:
        "info": `infos[agent]["action_mask"]`; "observation": observations become
        {"observation": ..., "action_mask": ...}, as in PettingZoo's board games.
      render_mode: "rgb_array" for images from `render()`, "human" for a window that shows every
        step, or None.
      render_fps: images per second: told to recorders, and the most that a window shows.
      name: what the environment is called there; None: its name in the registry.
      flatten: whether Dict observations become one vector, [F] f32, discrete parts as one-hot, for
        libraries that take none (SuperSuit).

    Raises:
      ImportError: PettingZoo is not installed.
      ValueError: a space that Gymnasium has not, naming the group; a `render_mode` the environment
        has not; other arguments out of range.
    """
    need("gymnasium", EXTRA)
    need("pettingzoo", EXTRA)
    from jaxmarl_core.envs.interop.parallel_env import ToPettingZoo

    return ToPettingZoo(env, seed, masks, render_mode, render_fps, name, flatten)
