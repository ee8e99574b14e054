"""The words of the library: environment, time step, policy, algorithm.

Everything else is written against these few records. Agents that share their spaces form a *group*
and are stacked on one axis; a dict maps a group's name to what belongs to it. Axes come in this
order: time T, environments B, agents n, features.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from flax import struct

from jaxmarl_core.spaces import Space

Key = jax.Array  # a typed PRNG key, from jax.random.key
Pytree = Any
Params = Any  # what a policy needs to act: weights, and numbers such as a temperature
Memory = Any  # what a policy carries from step to step; () when feed-forward
State = Any  # what a learner carries from update to update; has a field `params`
EnvState = Any
Hparams = Any  # a struct of traced numbers, see hparams.py
Actions = dict[str, jax.Array]  # group -> [n, ...]
Metrics = dict[str, jax.Array]  # name -> [] f32

# A metric that is no finite number says that its run diverged, unless its name begins so:
MEASURED_AT_TIMES = ("episode_", "eval_")  # may be NaN, where nothing was measured; not infinite
MAY_OVERFLOW = ("kl",)  # statistics of ratios of probabilities, on which no learning depends


class Group(NamedTuple):
    """Agents with the same spaces, stacked on one axis."""

    size: int
    observation: Space
    action: Space
    team: int = 0  # agents of one team win and lose together
    common_reward: bool = False  # whether all its agents are always told one and the same number
    opposed: bool = False  # whether it meets teams that are in no group: the world plays them


@struct.dataclass
class TimeStep:
    """What the world shows on arriving in a state.

    Pay, deaths and ends, for worlds and learners alike:

    - `reward[g][i]` is what agent i is paid for the transition that led here, dead or alive; 0 on
      the first step of an episode. A world that pays the fallen (a team's reward, told to all of
      it) does so on purpose, and no learner takes it away.
    - `alive[g][i]` says whether agent i decides at this step. Rows of those who do not enter no
      loss of a decision, and their actions reach nobody; their pay still flows through returns.
    - `discount[g][i]` is 0 exactly where no more pay can come to agent i: the episode terminated,
      or it died in a world that pays the dead nothing. After a 0 its reward is 0 until the reset.
    - `last` marks any end. A time limit sets `last` alone, and the value of the final observation
      is bootstrapped. The step after `last` plays nothing.
    - A team's reward is one number, whoever lives: the mean over all its members, which where
      they are all told the same (`Group.common_reward`) is that number.
    """

    observation: dict[str, Pytree]  # group -> [n, ...]
    action_mask: dict[str, Pytree]  # group -> [n, A] bool, true where legal; absent: all are;
    # of a Composite action a dict by part, which may lack some
    alive: dict[str, jax.Array]  # group -> [n] bool, whether it decides at this step
    state: jax.Array  # what a central critic may see
    reward: dict[str, jax.Array]  # group -> [n] f32
    discount: dict[str, jax.Array]  # group -> [n] f32 in {0, 1}, whether more pay can come
    last: jax.Array  # [] bool, terminated or truncated
    mean_action: dict[str, jax.Array] = struct.field(default_factory=dict)
    # group -> [n, A] f32, the neighbours' mean action of the step before; mean-field worlds only
    extras: dict[str, Pytree] = struct.field(default_factory=dict)
    # facts for statistics, never for a policy; "winner": [] int32, a team, or -1 for none (where
    # teams are in no group, theirs are the numbers after the others); "opponent": [K] f32, 1 for
    # the one of a pool that plays, 0 for all where the episode tells nothing of it
    # "team_figures": name -> [num_teams], what is counted of each team, the episode so far


class Environment(Protocol):
    """A world as a pytree of pure functions: numbers are leaves (sweepable), sizes are static."""

    @property
    def groups(self) -> Mapping[str, Group]: ...

    def reset(self, key: Key) -> tuple[EnvState, TimeStep]: ...

    def step(self, key: Key, state: EnvState, actions: Actions) -> tuple[EnvState, TimeStep]: ...


@runtime_checkable
class Renderable(Protocol):
    """What an environment is that can be drawn."""

    def render(self, state: EnvState) -> jax.Array: ...  # [H, W, 3] uint8


class StateEnvironment(ABC):
    """Base of environments whose time step is a function of their state.

    They write `initial(key) -> state`, `advance(key, state, actions) -> state` and
    `observe(state) -> TimeStep`. Beside `reset` and `step` this buys a cheap auto-reset, which
    chooses between two states and then observes once (see wrappers.AutoReset). Whoever plays may
    call these three alone: a `step` of one's own that does more is not seen.
    """

    @property
    @abstractmethod
    def groups(self) -> Mapping[str, Group]: ...

    @abstractmethod
    def initial(self, key: Key) -> EnvState: ...

    @abstractmethod
    def advance(self, key: Key, state: EnvState, actions: Actions) -> EnvState: ...

    @abstractmethod
    def observe(self, state: EnvState) -> TimeStep: ...

    def reset(self, key: Key) -> tuple[EnvState, TimeStep]:
        """Returns the first state and time step of an episode."""
        state = self.initial(key)
        return state, self.observe(state)

    def step(self, key: Key, state: EnvState, actions: Actions) -> tuple[EnvState, TimeStep]:
        """Returns the state and time step that the joint action leads to."""
        state = self.advance(key, state, actions)
        return state, self.observe(state)


class Policy(NamedTuple):
    """How agents act: `act` draws from the policy, `greedy` takes its mode.

    Where what is learnt is itself a mixed strategy, `greedy` draws from it, without exploring.

    Both map (params, key, time step, memory) of one environment to (actions, memory).
    """

    memory: Callable[[], Memory]
    act: Callable[[Params, Key, TimeStep, Memory], tuple[Actions, Memory]]
    greedy: Callable[[Params, Key, TimeStep, Memory], tuple[Actions, Memory]]


class Algorithm(NamedTuple):
    """A learner as pure functions.

    `update(key, state, hparams, update_index)` is one iteration: act and learn. The index, []
    int32, is the same in all runs of a sweep: under `vmap` it stays one number, so that a ring
    buffer's slot or an order drawn from it costs no gather. Everything else that varies between
    updates is in the state.
    """

    init: Callable[[Key, Hparams], State]
    update: Callable[[Key, State, Hparams, jax.Array], tuple[State, Metrics]]
    policy: Policy
    hparams: Hparams  # the defaults
    env_steps: int
    # environment steps of an update, over all its environments: what it costs, and what schedules
    # count by. A step after an end is one of them and plays nothing; the metric `env_steps` counts
    # those that were played
