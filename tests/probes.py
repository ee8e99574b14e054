"""Worlds with known answers, small enough to be solved in seconds. For tests only."""

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.spaces import Box, Discrete
from jaxmarl_core.types import Group, StateEnvironment, TimeStep


def _static(default):
    return struct.field(pytree_node=False, default=default)


@struct.dataclass
class ClockState:
    step: jax.Array  # [] int32


@struct.dataclass
class ConstantReward(StateEnvironment):
    """Reward 1 for each of `num_agents` agents at every step, whatever they do.

    - Observation: Discrete(1), always 0. Action: Discrete(2).
    - Ends after `length` steps: with `truncate` by a time limit (discount stays 1), so that the
      value of every observation is 1 / (1 - gamma); else truly, so that the value k steps before
      the end is (1 - gamma^k) / (1 - gamma).
    """

    num_agents: int = _static(1)
    length: int = _static(5)
    truncate: bool = _static(False)

    @property
    def groups(self):
        space = Discrete(1), Discrete(2)
        return {"agents": Group(self.num_agents, *space, common_reward=True)}

    def initial(self, key):
        return ClockState(jnp.int32(0))

    def advance(self, key, state, actions):
        return ClockState(state.step + 1)

    def observe(self, state):
        num = self.num_agents
        last = state.step >= self.length
        ended = last & (not self.truncate)
        return TimeStep(
            observation={"agents": jnp.zeros(num, jnp.int32)},
            action_mask={},
            alive={"agents": jnp.ones(num, bool)},
            state=jnp.ones(1),
            reward={"agents": jnp.full(num, state.step > 0, jnp.float32)},
            discount={"agents": jnp.full(num, 1.0 - ended, jnp.float32)},
            last=last,
        )


@struct.dataclass
class OneBitState:
    bit: jax.Array  # [n] int32
    reward: jax.Array  # [n] f32
    step: jax.Array  # [] int32


@struct.dataclass
class OneBitMemory(StateEnvironment):
    """A bit is shown at the first step only; after `delay` more steps the action must repeat it.

    - Observation: Discrete(3): the agent's own bit at step 0, then 2. Action: Discrete(2).
    - Reward: at the end, 1 if the last action was the bit, else 0.
    - Ends truly after `delay + 1` actions.

    The best expected return is 0.5 without memory and 1 with it (also without, if `delay` is 0).
    """

    num_agents: int = _static(1)
    delay: int = _static(2)

    @property
    def groups(self):
        return {"agents": Group(self.num_agents, Discrete(3), Discrete(2))}

    def initial(self, key):
        num = self.num_agents
        bit = jax.random.bernoulli(key, shape=(num,)).astype(jnp.int32)
        return OneBitState(bit, jnp.zeros(num, jnp.float32), jnp.int32(0))

    def advance(self, key, state, actions):
        repeated = (actions["agents"] == state.bit).astype(jnp.float32)
        reward = jnp.where(state.step == self.delay, repeated, 0.0)
        return OneBitState(state.bit, reward, state.step + 1)

    def observe(self, state):
        num = self.num_agents
        last = state.step > self.delay
        return TimeStep(
            observation={"agents": jnp.where(state.step == 0, state.bit, 2)},
            action_mask={},
            alive={"agents": jnp.ones(num, bool)},
            state=jnp.append(state.bit, state.step).astype(jnp.float32),
            reward={"agents": state.reward},
            discount={"agents": jnp.full(num, 1.0 - last, jnp.float32)},
            last=last,
        )


@struct.dataclass
class MixedState:
    target: jax.Array  # [] f32
    reward: dict[str, jax.Array]
    step: jax.Array  # [] int32


@struct.dataclass
class MixedGroups(StateEnvironment):
    """Two teams of different kind: two agents who choose and one who aims.

    - "choosers", 2 agents, team 0. Observation Discrete(2): whether the target is positive; action
      Discrete(3), the last one never legal. Reward 1 for action 1 where it is, action 0 where not.
    - "aimer", 1 agent, team 1. Observation Box((2,)): the target and 1; action Box((1,), -1, 1).
      Reward -(action - target)^2.
    - The target is uniform in [-1, 1] anew each step; ends truly after `length` steps.

    The best return of an episode is 2 `length` for team 0 and 0 for team 1.
    """

    length: int = _static(4)

    @property
    def groups(self):
        return {
            "choosers": Group(2, Discrete(2), Discrete(3), team=0),
            "aimer": Group(1, Box((2,)), Box((1,), -1.0, 1.0), team=1),
        }

    def initial(self, key):
        nothing = {"choosers": jnp.zeros(2, jnp.float32), "aimer": jnp.zeros(1, jnp.float32)}
        return MixedState(jax.random.uniform(key, (), jnp.float32, -1), nothing, jnp.int32(0))

    def advance(self, key, state, actions):
        right = (state.target > 0).astype(jnp.int32)
        reward = {
            "choosers": (actions["choosers"] == right).astype(jnp.float32),
            "aimer": -((actions["aimer"][:, 0].astype(jnp.float32) - state.target) ** 2),
        }
        return MixedState(jax.random.uniform(key, (), jnp.float32, -1), reward, state.step + 1)

    def observe(self, state):
        last = state.step >= self.length
        going = 1.0 - last
        return TimeStep(
            observation={
                "choosers": jnp.full(2, state.target > 0, jnp.int32),
                "aimer": jnp.stack([state.target, jnp.float32(1)])[None],
            },
            action_mask={"choosers": jnp.array([[True, True, False]] * 2)},
            alive={"choosers": jnp.ones(2, bool), "aimer": jnp.ones(1, bool)},
            state=state.target[None],
            reward=state.reward,
            discount={
                "choosers": jnp.full(2, going, jnp.float32),
                "aimer": jnp.full(1, going, jnp.float32),
            },
            last=last,
        )


@struct.dataclass
class DyingState:
    reward: jax.Array  # [n] f32
    step: jax.Array  # [] int32


@struct.dataclass
class DyingAgents(StateEnvironment):
    """Agent i dies after i + 1 steps; action 1 pays the living 1, and the dead are paid nothing.

    - Observation: Discrete(2): whether one is alive. Action: Discrete(2), none legal for the dead.
    - Discount: 0 on arriving dead, and 0 for the dead thereafter.
    - Ends truly when all are dead.

    The best policy is action 1, with value i + 1 for agent i at the start (gamma 1).
    """

    num_agents: int = _static(3)

    @property
    def groups(self):
        return {"agents": Group(self.num_agents, Discrete(2), Discrete(2))}

    def _alive(self, step):
        return jnp.arange(self.num_agents) + 1 > step

    def initial(self, key):
        return DyingState(jnp.zeros(self.num_agents, jnp.float32), jnp.int32(0))

    def advance(self, key, state, actions):
        pay = jnp.where(self._alive(state.step), actions["agents"], 0)
        return DyingState(pay.astype(jnp.float32), state.step + 1)

    def observe(self, state):
        alive = self._alive(state.step)
        return TimeStep(
            observation={"agents": alive.astype(jnp.int32)},
            action_mask={"agents": jnp.broadcast_to(alive[:, None], (self.num_agents, 2))},
            alive={"agents": alive},
            state=alive.astype(jnp.float32),
            reward={"agents": state.reward},
            discount={"agents": alive.astype(jnp.float32)},
            last=~alive.any(),
        )


@struct.dataclass
class SacrificeState:
    fallen: jax.Array  # [] bool, whether agent 0 gave itself up
    reward: jax.Array  # [] f32
    step: jax.Array  # [] int32


@struct.dataclass
class Sacrifice(StateEnvironment):
    """Agent 0 may fall at its first step, for nothing; at the end both are paid more if it did.

    - Observation: Discrete(2 * (length + 1)): the step, and whether one is alive. Action:
      Discrete(2); action 1 of agent 0 at the first step is its fall, all else does nothing.
    - Reward: to both, the fallen too, `worth` or else `otherwise`, when the episode ends truly
      after `length` steps; discount 1 until then.

    A learner that ends an agent's return at its death never learns what its death was worth, and
    one that takes the pay of the fallen away sees only half of it.
    """

    worth: float = 1.0
    otherwise: float = 0.6
    length: int = _static(3)

    @property
    def groups(self):
        space = Discrete(2 * (self.length + 1))
        return {"agents": Group(2, space, Discrete(2), common_reward=True)}

    def initial(self, key):
        return SacrificeState(jnp.bool_(False), jnp.float32(0), jnp.int32(0))

    def advance(self, key, state, actions):
        fallen = jnp.where(state.step == 0, actions["agents"][0] == 1, state.fallen)
        step = state.step + 1
        pay = jnp.where(fallen, self.worth, self.otherwise)
        return SacrificeState(fallen, jnp.where(step == self.length, pay, 0.0), step)

    def observe(self, state):
        alive = jnp.stack([~state.fallen, jnp.bool_(True)])
        last = state.step >= self.length
        return TimeStep(
            observation={"agents": (2 * state.step + alive).astype(jnp.int32)},
            action_mask={},
            alive={"agents": alive},
            state=jnp.append(jax.nn.one_hot(state.step, self.length + 1), state.fallen),
            reward={"agents": jnp.full(2, state.reward)},
            discount={"agents": jnp.full(2, 1.0 - last, jnp.float32)},
            last=last,
        )


@struct.dataclass
class TwoTeams(DyingAgents):
    """DyingAgents in two groups: agents 0 and 1 in "pair"; agent 2 in "loner", of team 1."""

    @property
    def groups(self):
        return {
            "pair": Group(2, Discrete(2), Discrete(2), 0),
            "loner": Group(1, Discrete(2), Discrete(2), 1),
        }

    def advance(self, key, state, actions):
        joined = jnp.concatenate([actions["pair"], actions["loner"]])
        return DyingAgents.advance(self, key, state, {"agents": joined})

    def observe(self, state):
        whole = DyingAgents.observe(self, state)
        part = lambda x: {"pair": x["agents"][:2], "loner": x["agents"][2:]}
        return whole.replace(
            **{
                f: part(getattr(whole, f))
                for f in ("observation", "action_mask", "alive", "reward", "discount")
            }
        )


@struct.dataclass
class Plain:
    """An environment that only has reset and step: its time step is no function of its state."""

    env: StateEnvironment

    @property
    def groups(self):
        return self.env.groups

    def reset(self, key):
        return self.env.reset(key)

    def step(self, key, state, actions):
        return self.env.step(key, state, actions)
