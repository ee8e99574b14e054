"""QMIX's two-step game: agent 0 picks a safe table or a better one that both must then trust."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs import drawing
from jaxmarl_core.solvers.markov_games import TabularEnvironment, require_common
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Group, Key

FIRST, SAFE, RISKY, OVER = range(4)


@struct.dataclass
class TwoStepState:
    """Where the game stands."""

    node: jax.Array  # [] int32: the choice, the safe table, the risky one, over
    table: jax.Array  # [] int32, which was chosen: SAFE or RISKY, FIRST before; for the eye alone
    joint: jax.Array  # [2] int32, what was last played; for the eye alone
    reward: jax.Array  # [2] f32
    time: jax.Array  # [] int32


@struct.dataclass
class TwoStepGame(TabularEnvironment):
    """A team of two plays one of two tables, chosen by agent 0 in a step before.

    Rashid et al., 2018, arXiv:1803.11485 (QMIX), section 6.1. In the first step agent 0's action 0
    leads to the safe table and 1 to the risky one; agent 1's action is without effect and nothing
    is paid. In the second step the joint action is paid from the table, to both:

        safe  7 7     risky  0 1
              7 7            1 8

    The optimum is 8. A sum of the agents' own values (VDN) cannot say that the 8 needs both, and
    settles for 7; a monotonic mixture can.

    - groups: "agents", two, team 0.
    - observation: both see the same. "index": Discrete(4): the choice, the safe table, the risky
      one, the end. "features": [4] f32 in {0, 1}, the same one-hot.
    - action: [2] int32 in 0..1, all legal.
    - reward: the table's entry, to both, in the second step; 0 in the first.
    - termination: discount 0 after the second step; `max_steps` is not needed and is None.
    - state: the features.
    """

    safe_payoff: float
    best_payoff: float
    observation: str = struct.field(pytree_node=False)

    num_states = 4
    num_outcomes = 1
    max_steps = None

    @property
    def groups(self) -> Mapping[str, Group]:
        return {"agents": Group(2, self.observation_space, Discrete(2), common_reward=True)}

    @property
    def payoffs(self) -> jax.Array:
        """The two tables, safe first: [2, 2, 2] f32."""
        safe = jnp.full((2, 2), self.safe_payoff, jnp.float32)
        risky = jnp.array([[0.0, 1.0], [1.0, 0.0]], jnp.float32).at[1, 1].set(self.best_payoff)
        return jnp.stack([safe, risky])

    def initial(self, key: Key) -> TwoStepState:
        """Returns the choice that agent 0 begins with."""
        return self.decode(jnp.int32(FIRST))

    def start_distribution(self) -> jax.Array:
        return (jnp.arange(self.num_states) == FIRST).astype(jnp.float32)

    def chance(self, state: TwoStepState, joint: jax.Array) -> jax.Array:
        return jnp.ones(1, jnp.float32)

    def move(self, state: TwoStepState, joint: jax.Array, outcome: jax.Array) -> TwoStepState:
        choosing = state.node == FIRST
        chosen = jnp.where(choosing, SAFE + joint[0], state.table)
        risky = jnp.where(joint.sum() == 2, self.best_payoff, joint.sum())  # 0, 1 or the best
        paid = jnp.where(state.node == SAFE, self.safe_payoff, risky)
        reward = jnp.where(choosing | (state.node == OVER), 0.0, paid)
        return TwoStepState(
            node=jnp.where(choosing, chosen, OVER).astype(jnp.int32),
            table=chosen.astype(jnp.int32),
            joint=joint,
            reward=jnp.broadcast_to(reward, (2,)).astype(jnp.float32),
            time=state.time + 1,
        )

    def encode(self, state: TwoStepState) -> jax.Array:
        return state.node

    def decode(self, index: jax.Array) -> TwoStepState:
        index = jnp.asarray(index, jnp.int32)
        table = jnp.where(index == OVER, FIRST, index)
        return TwoStepState(
            index, table, jnp.zeros(2, jnp.int32), jnp.zeros(2, jnp.float32), jnp.int32(0)
        )

    def terminal(self, state: TwoStepState) -> jax.Array:
        return state.node == OVER

    def features(self, state: TwoStepState) -> jax.Array:
        return (jnp.arange(self.num_states) == state.node).astype(jnp.float32)

    def render(self, state: TwoStepState) -> jax.Array:
        """Returns the choice above its two tables; what is to be played, or was, is in colour."""
        image = drawing.canvas(190, 260)
        top = (130, 38)
        image = drawing.write(image, "agent 0 chooses", (130, 12), drawing.INK, 12)
        image = drawing.disc(image, top, 12, drawing.GOLD, 0.25 + 0.75 * (state.node == FIRST))
        for table, x in ((SAFE, 70), (RISKY, 190)):
            chosen = (state.table == table).astype(jnp.float32)
            image = drawing.segment(image, (130, 50), (x, 84), drawing.PALE, 3)
            image = drawing.segment(image, (130, 50), (x, 84), drawing.GOLD, 4, chosen)
            label = (130 + 0.85 * (x - 130), 62)
            image = drawing.write(image, f"{table - SAFE}", label, drawing.INK, 12)
            waiting = state.node == table
            frame = (x - 42, 92), (84, 84)
            image = drawing.rectangle(image, *frame, drawing.PALE)
            image = drawing.rectangle(image, *frame, drawing.GOLD, waiting)
            for row in range(2):
                for column in range(2):
                    corner = (x - 39 + 40 * column, 95 + 40 * row)
                    image = drawing.rectangle(image, corner, (38, 38), drawing.PAPER)
                    played = (state.node == OVER) & (chosen > 0)
                    played &= (state.joint[0] == row) & (state.joint[1] == column)
                    image = drawing.rectangle(image, corner, (38, 38), drawing.GREEN, 0.6 * played)
                    entry = jnp.round(self.payoffs[table - SAFE, row, column])
                    middle = (corner[0] + 19, corner[1] + 19)
                    image = drawing.write_number(image, entry, middle, drawing.INK, 14)
        return drawing.finish(image)


def two_step_game(
    *, safe_payoff: float = 7.0, best_payoff: float = 8.0, observation: str = "index"
) -> TwoStepGame:
    """Returns QMIX's two-step game.

    Args:
      safe_payoff: what every joint action in the safe table pays.
      best_payoff: what both playing 1 in the risky table pays.
      observation: "index" or "features".

    Raises:
      ValueError: naming the argument.
    """
    require_common(observation, None)
    return TwoStepGame(safe_payoff=safe_payoff, best_payoff=best_payoff, observation=observation)
