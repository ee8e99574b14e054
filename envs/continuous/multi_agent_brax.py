"""Multi-agent Brax: a robot whose joints are shared out among agents who walk it together.

Peng et al., 2021, arXiv:2003.06709 (Multi-Agent MuJoCo), on the physics of Freeman et al., 2021,
arXiv:2106.13281 (Brax). Physics and constants of the reward are Brax's: returns do not compare
with those of the MuJoCo tasks.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.continuous.bodies import TASKS, body_of
from jaxmarl_core.envs.continuous.brax_render import Shape, render, shapes_of
from jaxmarl_core.envs.interop.extras import need, undisturbed
from jaxmarl_core.envs.interop.foreign_spaces import like
from jaxmarl_core.envs.interop.pickling import Recipe, Remade
from jaxmarl_core.envs.interop.settings import checked, parameters, parsed
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Box
from jaxmarl_core.types import Actions, Group, Key, StateEnvironment, TimeStep

EXTRA = "brax"
Indices = tuple[int, ...]


@struct.dataclass
class BodyState:
    """A body on its way."""

    physics: Any  # the pipeline state of Brax: places, angles, velocities
    observation: jax.Array  # [F] f32, Brax's own
    reward: jax.Array  # [] f32, of the last step
    unhealthy: jax.Array  # [] bool, it fell
    time: jax.Array  # [] int32, steps played


@struct.dataclass
class MultiAgentBrax(Remade, StateEnvironment):
    """A robot of Brax moved by N agents.

    Groups: agents with equally many joints and equally long observations, in the order of the task:
    "agents" if they are all alike, else "agents_0", "agents_1", ...; all on team 0.

    - Observation, "local": Box [F] f32: coordinates of the root (without its place along the
      track) and its velocities; angles, then velocities of its own joints; angles of other joints
      within `distance`, 1 for joints that hang on one part of the body; which agent it is, one-hot
      [N]. "full": all that Brax observes, and the one-hot.
    - Action: Box [J] in [-1, 1], the torques of its joints as shares of the strongest.
    - Reward: Brax's, the same for all: speed forwards, plus a bonus for being healthy where the
      body can fall, less the cost of torques.
    - State for a central critic: all that Brax observes, [F] f32.
    - End: discount 0 when the body is unhealthy; `max_steps` cuts off.
    """

    robot: Any = struct.field(pytree_node=False)  # a brax.envs.Env
    joints: tuple[Indices, ...] = struct.field(pytree_node=False)  # [N] places in the action
    observed: tuple[tuple[Indices, Indices], ...] | None = struct.field(pytree_node=False)
    # [N] indices into q and into qd; None: everything
    members: tuple[Indices, ...] = struct.field(pytree_node=False)  # [groups] agents
    observation_size: int = struct.field(pytree_node=False)
    shapes: tuple[Shape, ...] = struct.field(pytree_node=False)
    max_steps: int = struct.field(pytree_node=False)
    recipe: Recipe | None = struct.field(pytree_node=False, default=None)

    @property
    def num_agents(self) -> int:
        """N."""
        return len(self.joints)

    @property
    def groups(self) -> Mapping[str, Group]:
        """Agents with the same spaces."""
        alike = len(self.members) == 1
        return {
            "agents" if alike else f"agents_{i}": Group(
                len(agents),
                Box((_length(self.observed, self.observation_size, agents[0]) + self.num_agents,)),
                Box((len(self.joints[agents[0]]),), -1.0, 1.0),
                common_reward=True,
            )
            for i, agents in enumerate(self.members)
        }

    def initial(self, key: Key) -> BodyState:
        """Returns the body at rest but for Brax's noise."""
        with undisturbed():
            first = self.robot.reset(key)
        return self._state(first, jnp.int32(0), like(first.pipeline_state, first.pipeline_state))

    def advance(self, key: Key, state: BodyState, actions: Actions) -> BodyState:
        """Returns the body after one control step; chance has no part in it."""
        torque = self.joint_action(actions)
        with undisturbed():
            metrics = jax.eval_shape(self.robot.reset, key).metrics
            before = _brax_state(self.robot)(
                pipeline_state=state.physics,
                obs=state.observation,
                reward=state.reward,
                done=state.unhealthy.astype(jnp.float32),
                metrics=dict.fromkeys(metrics, jnp.float32(0)),  # written by Brax, never read
            )
            after = self.robot.step(before, torque)
        return self._state(after, state.time + 1, like(after.pipeline_state, state.physics))

    def joint_action(self, actions: Actions) -> jax.Array:
        """Returns the agents' actions as Brax's one vector [A]."""
        rows = [row for name in self.groups for row in actions[name]]
        order = np.concatenate([self.joints[agent] for agents in self.members for agent in agents])
        return jnp.concatenate(rows)[np.argsort(order)]

    def observe(self, state: BodyState) -> TimeStep:
        """Returns the time step of a state."""
        going = 1.0 - state.unhealthy.astype(jnp.float32)
        return TimeStep(
            observation={
                name: jnp.stack([self._view(state, agent) for agent in agents])
                for name, agents in zip(self.groups, self.members)
            },
            action_mask={},
            alive=self._same(True, bool),
            state=state.observation,
            reward=self._same(state.reward, jnp.float32),
            discount=self._same(going, jnp.float32),
            last=state.unhealthy | (state.time >= self.max_steps),
        )

    def render(self, state: BodyState) -> jax.Array:
        """Returns a picture from the side, [H, W, 3] uint8."""
        return render(self.shapes, state.physics.x, state.time, state.reward)

    def _view(self, state: BodyState, agent: int) -> jax.Array:
        name = np.eye(self.num_agents, dtype=np.float32)[agent]
        if self.observed is None:
            return jnp.concatenate([state.observation, name])
        q, qd = (np.array(index, np.int32) for index in self.observed[agent])
        return jnp.concatenate([state.physics.q[q], state.physics.qd[qd], name])

    def _same(self, value: Any, dtype: Any) -> dict[str, jax.Array]:
        return {
            name: jnp.full(group.size, value).astype(dtype) for name, group in self.groups.items()
        }

    def _state(self, reached: Any, time: jax.Array, physics: Any) -> BodyState:
        return BodyState(
            physics=physics,
            observation=jnp.asarray(reached.obs, jnp.float32),
            reward=jnp.asarray(reached.reward, jnp.float32),
            unhealthy=jnp.asarray(reached.done, jnp.float32) > 0,
            time=time,
        )


@contextlib.contextmanager
def _no_log_file() -> Iterator[None]:
    """Keeps MuJoCo from writing MUJOCO_LOG.TXT over what Brax's model files have out of date."""
    library = need("mujoco", EXTRA)
    handler = library.get_mju_user_warning()
    library.set_mju_user_warning(lambda message: None)
    try:
        yield
    finally:
        library.set_mju_user_warning(handler)


def _brax_state(robot: Any) -> type:
    return need("brax.envs.base", EXTRA).State


def _length(observed: Any, full: int, agent: int) -> int:
    return full if observed is None else sum(len(index) for index in observed[agent])


def multi_agent_brax(
    task: str = "halfcheetah_6x1",
    *,
    observability: str = "local",
    distance: int = 1,
    backend: str = "spring",
    max_steps: int = 1000,
    settings: str | Mapping[str, Any] = "{}",
) -> MultiAgentBrax:
    """Returns a robot moved by several agents; needs the extra "brax".

    Args:
      task: a key of `bodies.TASKS`: "ant_4x2" is an ant, four agents, two joints each; "ant_2x4",
        "ant_2x4d" (diagonal legs), "ant_8x1", "halfcheetah_2x3", "halfcheetah_6x1", "hopper_3x1",
        "humanoid_9|8" (upper and lower body), "humanoid_17x1", "walker2d_2x3", "walker2d_6x1".
      observability: "local", or "full", the setting of Zhong et al., 2024, arXiv:2304.09870.
      distance: how far an agent sees beyond its own joints, 0 or more; without effect in "full".
      backend: Brax's physics: "spring", "positional", "generalized" or "mjx". The first is by far
        the fastest on a CPU, the last two are the closest to MuJoCo.
      max_steps: the time limit, at least 1.
      settings: what Brax's constructor is told besides, a JSON object or a mapping:
        '{"ctrl_cost_weight": 0.05}'.

    Raises:
      ImportError: Brax is not installed.
      ValueError: naming the argument.
    """
    robot_name, partition = lookup(TASKS, task, "task")
    lookup(dict.fromkeys(("local", "full")), observability, "observability")
    lookup(dict.fromkeys(("spring", "positional", "generalized", "mjx")), backend, "backend")
    require(distance >= 0, "distance", "at least 0", distance)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    settings = parsed("settings", settings)
    library = need("brax.envs", EXTRA)
    known = parameters(library._envs[robot_name]) - {"self", "sys", "backend"}
    checked("settings", settings, known)
    with undisturbed(), _no_log_file():
        robot = library.get_environment(robot_name, backend=backend, **settings)
    with undisturbed():
        size = jax.eval_shape(robot.reset, jax.random.key(0)).obs.shape[0]
    body = body_of(robot.sys.mj_model)
    joints = tuple(body.index(part) for part in partition)
    num_q, num_qd = robot.sys.q_size(), robot.sys.qd_size()
    free = num_q > num_qd  # a root that turns freely in space has two places along the ground
    root = (
        tuple(i for i in range(2 if free else 1, num_q) if i not in body.angle),
        tuple(i for i in range(num_qd) if i not in body.speed),
    )
    steps = body.distances()
    observed = [_observed_indices(root, own, steps, distance, body) for own in joints]
    observed = None if observability == "full" else tuple(observed)
    kinds: dict[tuple, list[int]] = {}
    for agent, own in enumerate(joints):
        kinds.setdefault((len(own), _length(observed, size, agent)), []).append(agent)
    return MultiAgentBrax(
        robot=robot,
        joints=joints,
        observed=observed,
        members=tuple(map(tuple, kinds.values())),
        observation_size=size,
        shapes=shapes_of(robot.sys.mj_model, body, joints),
        max_steps=max_steps,
        recipe=Recipe(
            multi_agent_brax,
            task=task,
            observability=observability,
            distance=distance,
            backend=backend,
            max_steps=max_steps,
            settings=settings,
        ),
    )


def _observed_indices(
    root: tuple[Indices, Indices], own: Indices, steps: np.ndarray, distance: int, body: Any
) -> tuple[Indices, Indices]:
    """Returns what an agent sees as indices into q and qd."""
    near = [j for j in np.flatnonzero(steps[list(own)].min(0) <= distance) if j not in own]
    q = (*root[0], *(body.angle[j] for j in (*own, *near)))
    return q, (*root[1], *(body.speed[j] for j in own))
