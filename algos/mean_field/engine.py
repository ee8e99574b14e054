"""The engine of mean-field value learning: play, remember, learn.

Each agent of a large population acts on its own observation and, if the recipe says so, on the mean
action of its neighbours. One network serves all members of a population. One update plays
`rollout_length` steps of `num_envs` environments, writes them into the replay ring and takes
`num_gradient_steps` steps down the temporal-difference loss.

The choices by which published programs differ are fields of `Config`; their defaults follow the
paper (Yang et al., 2018, arXiv:1802.05438), the alternatives its program.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxmarl_core.errors import lookup, require, require_sizes
from jaxmarl_core.functional.exploration import boltzmann, boltzmann_probs, exponential, greedy
from jaxmarl_core.functional.losses import (
    chosen,
    double_q_value,
    masked_mean,
    mean_field_value,
    squared,
    td_target,
)
from jaxmarl_core.functional.trees import select
from jaxmarl_core.hparams import hparam
from jaxmarl_core.learners import replay as buffers
from jaxmarl_core.learners.networks import MLP, Torso, head
from jaxmarl_core.play.rollout import Play, begin
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.spaces import Discrete, Space, zeros
from jaxmarl_core.types import Algorithm, Environment, Policy


@dataclass(frozen=True)
class Config:
    """What shapes the program.

    exploration: "boltzmann" draws from softmax(Q / temperature), as the paper; "greedy" takes the
      best action, as its program does in effect (its schedule never reaches the graph).
    target: "mean_field" values a state by the Boltzmann policy's mean, as the paper (eq. 10);
      "double" by the online network's best action, as the program.
    mean_action: Q(s_t, a_t, .) is learned beside "current", the actions taken at t, as the paper's
      algorithm 1; or "previous", those of t - 1, as the program. Acting sees those of t - 1 either
      way: the current ones are not known yet.
    ends: "learn" from the transition that ends an agent's episode, as the paper; "mask" it out of
      the loss, as the program.
    self_play: "shared", all groups play and teach one network; "lagged", the first group learns
      and the others follow it: after an update in which it won an episode on return they move
      nearly all the way (0.99) towards it, as the program.
    """

    num_envs: int = 1
    rollout_length: int = 16
    buffer_length: int = 256  # time steps kept per environment
    batch_size: int = 256
    num_gradient_steps: int = 4
    channels: tuple[int, ...] = (16,)  # of the convolutions over an image-like view
    kernel: int = 5  # on a 13 x 13 view, 5 and 4 make 3 x 3 windows, the middle one around oneself
    stride: int = 4
    hidden: tuple[int, ...] = (64,)  # over all that is observed
    mean_action_hidden: tuple[int, ...] = (32,)  # over the mean action
    head_hidden: tuple[int, ...] = (64,)  # over both
    exploration: str = "boltzmann"
    target: str = "mean_field"
    mean_action: str = "current"
    ends: str = "learn"
    self_play: str = "shared"

    def __post_init__(self):
        counts = ("num_envs", "rollout_length", "batch_size", "num_gradient_steps")
        for field in (*counts, "kernel", "stride"):
            require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        fits = self.buffer_length % self.rollout_length == 0 and self.buffer_length >= 2
        expected = f"at least 2 and a multiple of rollout_length ({self.rollout_length})"
        require(fits, "buffer_length", expected, self.buffer_length)
        for field in ("channels", "hidden", "mean_action_hidden", "head_hidden"):
            require_sizes(field, getattr(self, field))
        for field, known in CHOICES.items():
            lookup(dict.fromkeys(known), getattr(self, field), field)


CHOICES = {
    "exploration": ("boltzmann", "greedy"),
    "target": ("mean_field", "double"),
    "mean_action": ("current", "previous"),
    "ends": ("learn", "mask"),
    "self_play": ("shared", "lagged"),
}


@struct.dataclass
class Hparams:
    """Traced numbers; the temperature falls geometrically over the first `anneal_updates`."""

    learning_rate: float = hparam(1e-3, 0.0, 1.0, "log")
    gamma: float = hparam(0.95, 0.0, 1.0)
    tau: float = hparam(0.01, 0.0, 1.0, "log")  # share of the online network in the next target
    temperature: float = hparam(0.1, 1e-6, 1e6, "log")
    final_temperature: float = hparam(0.05, 1e-6, 1e6, "log")
    anneal_updates: float = hparam(100.0, 1.0, 1e9, "log")


@struct.dataclass
class Row:
    """What the replay keeps of a time step, leaves [B, n, ...]."""

    observation: Any
    mean_action: jax.Array
    action_mask: jax.Array | None
    action: jax.Array
    reward: jax.Array  # of the transition that led here, as `discount`
    discount: jax.Array
    alive: jax.Array
    last: jax.Array


@struct.dataclass
class Params:
    """What the policy needs to act."""

    online: Any
    opponent: Any  # () unless self_play is "lagged"
    temperature: jax.Array


@struct.dataclass
class State:
    params: Params
    target: Any
    optimiser: Any
    replay: Row  # leaves [buffer_length, B, n, ...], n over all groups that learn
    play: Play  # leaves [B, ...]


class QNetwork(nn.Module):
    """Q-values [..., A] from an observation and, if used, the mean action [..., A]."""

    space: Space
    num_actions: int
    config: Config
    uses_mean_action: bool

    @nn.compact
    def __call__(self, observation, mean_action):
        config = self.config
        image = {"channels": config.channels, "kernel": config.kernel, "stride": config.stride}
        torso = Torso(self.space, config.hidden, activation=nn.relu, **image)
        _, features = torso((), observation)
        if self.uses_mean_action:
            neighbours = MLP(config.mean_action_hidden, nn.relu)(mean_action)
            features = jnp.concatenate([features, neighbours], axis=-1)
        features = MLP(config.head_hidden, nn.relu)(features)
        return head(self.num_actions, gain=1.0)(features)


def td_loss(
    q_of: Callable[[Any, Any, jax.Array], jax.Array],
    online: Any,
    target: Any,
    batch: tuple[Row, Row],
    temperature: jax.Array,
    gamma: jax.Array,
    config: Config,
) -> tuple[jax.Array, jax.Array]:
    """Returns (loss, mean Q of the actions taken), both [], over single agents' transitions.

        mean over the rows that count of (r + gamma discount v(s') - Q(s, a, mean action))^2 / 2

    Yang et al., 2018, eq. 8 to 10, and its program's variants; see `Config`. Rows count where the
    agent was alive and its episode went on; no gradient flows into the target.

    Args:
      q_of: maps (weights, observation, mean action [batch, A]) to Q-values [batch, A].
      online, target: weights.
      batch: a row and the one that follows it, leaves [batch, ...].
      temperature, gamma: [] f32.
      config: which variants.
    """
    row, next_row = batch
    beside = next_row if config.mean_action == "current" else row
    q = chosen(q_of(online, row.observation, beside.mean_action), row.action)

    next_seen = next_row.observation, next_row.mean_action
    next_q = q_of(target, *next_seen)
    if config.target == "mean_field":
        pi = boltzmann_probs(next_q, temperature, next_row.action_mask)
        next_value = mean_field_value(next_q, pi)
    else:
        next_value = double_q_value(q_of(online, *next_seen), next_q, next_row.action_mask)

    error = td_target(next_row.reward, gamma * next_row.discount, next_value) - q
    counts = row.alive & ~row.last
    if config.ends == "mask":
        counts &= (next_row.discount > 0) & ~next_row.last
    return masked_mean(squared(error), counts), masked_mean(q, counts)


def follow(opponent: Any, online: Any, returns: jax.Array, last: jax.Array) -> Any:
    """Returns the lagged opponent's weights after a trajectory: it follows a learner that won.

    Args:
      opponent, online: weights.
      returns: [..., teams] f32 of the episodes so far; the learner is team 0.
      last: [...] bool, where an episode ended.
    """
    won = (last & (returns[..., 0] > returns[..., 1:].max(-1))).any()
    return select(won, optax.incremental_update(online, opponent, 0.99), opponent)


def mean_field_q(env: Environment, config: Config, *, uses_mean_action: bool) -> Algorithm:
    """Returns the learner; the recipes `mfq` and `il` are this with and without the mean action.

    Raises:
      ValueError: actions are not discrete, the groups that share a network have different spaces,
        or the environment has no mean action although it is used.
    """
    name = "mfq" if uses_mean_action else "il"
    groups = dict(env.groups)
    first = next(iter(groups.values()))
    learners = list(groups) if config.self_play == "shared" else list(groups)[:1]
    for group_name, group in groups.items():
        if not isinstance(group.action, Discrete):
            raise ValueError(
                f'{name}: needs discrete actions, group "{group_name}" has {group.action}'
            )
        same = (group.observation, group.action) == (first.observation, first.action)
        require(same, name, "groups of equal spaces, as they share one network", dict(groups))
    if uses_mean_action and not hasattr(env, "mean_action"):
        raise ValueError(
            f"{name}: needs a mean-field environment, one that answers mean_action; "
            f"got {type(env).__name__}"
        )
    num_agents = sum(groups[group_name].size for group_name in learners)

    world = episodic(env)
    num_actions = first.action.num_values
    network = QNetwork(first.observation, num_actions, config, uses_mean_action)
    optimiser = lambda hp: optax.adam(hp.learning_rate)

    def mean_action_of(timestep, group_name):
        nothing = jnp.zeros((groups[group_name].size, num_actions))
        return timestep.mean_action.get(group_name, nothing)

    # ---- acting

    def play_by(choose):
        def act(params, key, timestep, memory):
            actions = {}
            for i, group_name in enumerate(groups):
                weights = params.online if group_name in learners else params.opponent
                observation = timestep.observation[group_name]
                q = network.apply(weights, observation, mean_action_of(timestep, group_name))
                mask = timestep.action_mask.get(group_name)
                actions[group_name] = choose(
                    jax.random.fold_in(key, i), q, params.temperature, mask
                )
            return actions, memory

        return act

    best = play_by(lambda key, q, temperature, mask: greedy(q, mask))
    explore = play_by(boltzmann) if config.exploration == "boltzmann" else best
    policy = Policy(memory=lambda: (), act=explore, greedy=best)

    # ---- remembering

    def to_row(name, timestep, actions):
        """Returns the Row of one group in one environment, leaves [n, ...]."""
        alive = timestep.alive[name]
        return Row(
            observation=timestep.observation[name],
            mean_action=mean_action_of(timestep, name),
            action_mask=timestep.action_mask.get(name),
            action=actions[name],
            reward=timestep.reward[name],
            discount=timestep.discount[name],
            alive=alive,
            last=jnp.broadcast_to(timestep.last, alive.shape),
        )

    def remember(replay, time, timestep, actions):
        """Returns the ring with one time step of all environments written at row `time`.

        The groups that learn lie side by side on the agents' axis; each is written where it lies,
        as putting them together first would copy all they see.
        """
        agent = 0
        for name in learners:
            row = jax.vmap(partial(to_row, name))(timestep, actions)
            replay = buffers.put(replay, row, time, agent)
            agent += groups[name].size
        return replay

    def draw(key, replay, index):
        """Returns (row, next row) of a batch of single agents' transitions, leaves [batch, ...]."""
        key_time, key_env, key_agent = jax.random.split(key, 3)
        size = config.batch_size
        time = buffers.sample_times(key_time, replay, config.rollout_length, index, size)
        env_index = jax.random.randint(key_env, (size,), 0, config.num_envs)
        agent = jax.random.randint(key_agent, (size,), 0, num_agents)
        row = buffers.take(replay, time, env_index, agent)
        return row, buffers.take(replay, time + 1, env_index, agent)

    # ---- learning

    def learn(carry, key, replay, temperature, hp, index):
        online, target, opt_state = carry
        batch = draw(key, replay, index)
        loss = partial(td_loss, network.apply, config=config)
        gradient = jax.value_and_grad(loss, has_aux=True)
        (error, q), grads = gradient(online, target, batch, temperature, hp.gamma)
        updates, opt_state = optimiser(hp).update(grads, opt_state)
        online = optax.apply_updates(online, updates)
        target = optax.incremental_update(online, target, hp.tau)
        return (online, target, opt_state), (error, q)

    # ---- the learner

    def init(key, hp):
        key_network, key_play = jax.random.split(key)
        example = zeros(first.observation), jnp.zeros(num_actions)
        online = network.init(key_network, *example)
        start = jax.vmap(lambda key: begin(key, world, policy.memory()))
        play = start(jax.random.split(key_play, config.num_envs))
        opponent = online if config.self_play == "lagged" else ()
        params = Params(online, opponent, jnp.asarray(hp.temperature, jnp.float32))
        actions = {name: jnp.zeros((config.num_envs, g.size), int) for name, g in groups.items()}
        row = jax.eval_shape(jax.vmap(partial(to_row, learners[0])), play.timestep, actions)
        row = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((x.shape[0], num_agents, *x.shape[2:]), x.dtype), row
        )
        replay = buffers.ring(row, config.buffer_length, config.rollout_length)
        return State(params, online, optimiser(hp).init(online), replay, play)

    def explore_and_remember(key, params, play, replay, index):
        """Plays on and writes each step into the ring; returns what statistics need of it."""
        start = buffers.slot(replay, index, config.rollout_length)

        def one(key, play):
            key_act, key_env = jax.random.split(key)
            actions, _ = policy.act(params, key_act, play.timestep, ())
            env_state, timestep = world.step(key_env, play.env_state, actions)
            return Play(env_state, timestep, ()), actions

        def step(carry, inputs):
            play, replay = carry
            t, key = inputs
            # the observations go from here straight into the ring: stacked in between they would
            # take fresh memory every update, which costs more than computing them
            following, actions = jax.vmap(one)(jax.random.split(key, config.num_envs), play)
            replay = remember(replay, start + t, play.timestep, actions)
            seen = play.timestep.replace(observation={}, mean_action={}, state=())
            return (following, replay), seen

        inputs = jnp.arange(config.rollout_length), jax.random.split(key, config.rollout_length)
        return jax.lax.scan(step, (play, replay), inputs)

    def update(key, state, hp, index):
        key_play, key_learn = jax.random.split(key)
        temperature = exponential(hp.temperature, hp.final_temperature, index / hp.anneal_updates)
        params = state.params.replace(temperature=jnp.asarray(temperature, jnp.float32))
        (play, replay), seen = explore_and_remember(
            key_play, params, state.play, state.replay, index
        )

        keys = jax.random.split(key_learn, config.num_gradient_steps)
        one = lambda carry, key: learn(carry, key, replay, temperature, hp, index)
        (online, target, opt_state), (error, q) = jax.lax.scan(
            one, (params.online, state.target, state.optimiser), keys
        )
        if config.self_play == "lagged":
            returns = seen.extras["episode"].returns
            opponent = follow(params.opponent, online, returns, seen.last)
            params = params.replace(opponent=opponent)
        state = State(params.replace(online=online), target, opt_state, replay, play)
        metrics = {
            "loss": error.mean(),
            "q": q.mean(),
            "temperature": params.temperature,
        }
        return state, metrics | episode_metrics(world, seen)

    env_steps = config.rollout_length * config.num_envs
    return Algorithm(init, update, policy, Hparams(), env_steps)
