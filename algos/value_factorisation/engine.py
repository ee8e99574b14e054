"""The engine of value factorisation: collect sequences, store them, learn joint values of them.

One update plays `rollout_length` steps of `num_envs` environments, in which every agent takes its
own best action or, with probability epsilon, any. What was played goes to a replay of sequences,
and `num_gradient_steps` steps are taken on batches that it samples; then the target networks move.
What varies between algorithms is handed in:

    factorise   what joint actions are worth, and the loss of that    factorisation.py
    replay      what is learnt from, named by the config              sequence_replay.py

A stored sequence begins with the memories its agents had when it was played, and networks are
unrolled from there; where it begins an episode they are empty, and so exact. Kapturowski et al.,
2019 (R2D2), ICLR, call this the stored state; their burn-in is an option.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxmarl_core.algos.value_factorisation.factorisation import (
    Factorisation,
    Factorise,
    greedy_actions,
)
from jaxmarl_core.algos.value_factorisation.networks import (
    AgentNetwork,
    agent_network,
    init_network,
    optimiser,
)
from jaxmarl_core.algos.value_factorisation.options import (
    Config,
    Hparams,
    epsilon_at,
    target_step_size,
)
from jaxmarl_core.algos.value_factorisation.rewards import Rewards
from jaxmarl_core.algos.value_factorisation.sequence_replay import REPLAYS, Batch, Replay
from jaxmarl_core.algos.value_factorisation.sequences import (
    AgentMemory,
    Sequences,
    agent_values,
    central_input,
    initial_memories,
    observe_with_last_action,
    one_hot_actions,
    per_agent,
    time_first,
    time_slice,
    warmed_up,
)
from jaxmarl_core.functional.exploration import epsilon_greedy_probs, greedy, pick
from jaxmarl_core.functional.losses import masked_mean
from jaxmarl_core.functional.packing import packed_scan
from jaxmarl_core.functional.returns import lambda_returns, n_step, over_trajectories
from jaxmarl_core.functional.trees import select
from jaxmarl_core.learners.parameter_sharing import (
    AgentStack,
    agent_stacks,
    legal_actions,
    split_groups,
)
from jaxmarl_core.learners.replay import learning_has_started, require_memory
from jaxmarl_core.play.rollout import Play, begin, begin_anew, joint_rows, rollout
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.recipes import require_own
from jaxmarl_core.spaces import discrete
from jaxmarl_core.types import Actions, Algorithm, Environment, Key, Metrics, Policy, TimeStep

Memories = dict[str, AgentMemory]  # by stack
Weights = tuple[Any, Any]  # the agents' parameters, and the factorisation's


@struct.dataclass
class Params:
    """What is learnt; the policy reads the agents and epsilon."""

    agents: dict[str, Any]  # stack -> parameters, with a leading axis n if not shared
    joint: Any  # of what the factorisation adds
    epsilon: jax.Array  # [] f32


@struct.dataclass
class State:
    params: Params
    target: Weights
    optimiser: Any
    buffer: Any  # of sequences, leaves [capacity, T + 1, ...]
    priorities: Any  # [capacity] f32, or ()
    play: Play  # leaves [B, ...]


class Learner(NamedTuple):
    """What the phases of an update are made of."""

    config: Config
    env: Environment  # resets itself, and keeps count of its episodes
    stacks: list[AgentStack]
    networks: dict[str, AgentNetwork]  # by stack
    factorisation: Factorisation
    replay: Replay


# ---- acting


def explore(draw: jax.Array, q: jax.Array, mask: Any, epsilon: jax.Array) -> jax.Array:
    """Returns the agents' best actions or, with probability epsilon, any legal ones, [n]."""
    return pick(draw, epsilon_greedy_probs(q, epsilon, mask))


def exploit(draw: jax.Array, q: jax.Array, mask: Any, epsilon: jax.Array) -> jax.Array:
    """Returns the agents' best legal actions, [n]."""
    return greedy(q, mask)


def act(
    learner: Learner,
    choose: Callable,
    params: Params,
    key: Key,
    timestep: TimeStep,
    memory: Memories,
) -> tuple[Actions, Memories]:
    """Returns what all agents do, chosen by `explore` or `exploit`, and what they remember."""
    # one draw for all agents: a key a stack would cost as much as the stack's network
    draws = jax.random.uniform(key, (sum(stack.size for stack in learner.stacks),))
    actions, carried = {}, {}
    for stack in learner.stacks:
        hidden, before = memory[stack.name]
        apply = per_agent(stack, learner.networks[stack.name].apply, 0)
        observation = observe_with_last_action(stack, timestep, before, 0)
        hidden, (q, _) = apply(params.agents[stack.name], hidden, observation)
        draw = draws[stack.first : stack.first + stack.size]
        action = choose(draw, q, legal_actions(stack, timestep, 0), params.epsilon)
        carried[stack.name] = AgentMemory(hidden, action if learner.config.last_action else ())
        actions |= split_groups(stack, action, 0)
    return actions, carried


# ---- collecting


def timestep_without_state(learner: Learner, timestep: TimeStep) -> TimeStep:
    """Returns the time step, without the state if no mixer reads it."""
    state = timestep.state if learner.factorisation.uses_state else ()
    return dataclasses.replace(timestep, state=state)


def stored_timestep(learner: Learner, timestep: TimeStep) -> TimeStep:
    """Returns the time step without what no loss reads."""
    return dataclasses.replace(timestep, mean_action={}, extras={})


def collect(
    learner: Learner, key: Key, params: Params, play: Play
) -> tuple[Play, Sequences, TimeStep]:
    """Plays one environment on from a step that can be played.

    Returns:
      Where it stands afterwards; a sequence, leaves [T + 1, ...]; the time steps that its T steps
      led to, leaves [T, ...].
    """

    def explore_in_play(key, timestep, memory):
        return *act(learner, explore, params, key, timestep, memory), ()

    config = learner.config
    key_begin, key_play = jax.random.split(key)
    empty = initial_memories(learner.stacks, config)
    play = begin_anew(key_begin, learner.env, play, empty)
    read = partial(timestep_without_state, learner)
    keep = lambda step: step._replace(timestep=read(step.timestep))
    following, steps = rollout(
        key_play, learner.env, explore_in_play, play, config.rollout_length, empty, keep
    )
    timestep = joint_rows(steps.timestep, read(following.timestep))
    is_first = play.timestep.extras["episode"].length == 0
    sequence = Sequences(stored_timestep(learner, timestep), steps.actions, play.memory, is_first)
    return following, sequence, jax.tree.map(lambda leaf: leaf[1:], timestep)


# ---- learning


def td_targets(rewards: Rewards, value: jax.Array, hp: Hparams, config: Config) -> jax.Array:
    """Returns what the joint actions of T steps should be worth, [T, B, k], without gradient.

        G_t = r_t + gamma d_t ((1 - lam) V_{t+1} + lam G_{t+1}),   G_T = V_T

    with V what the target network makes of the best joint action: Peng's Q(lambda) (Peng &
    Williams, 1996, Machine Learning 22), of which lam = 0 is Q-learning's one step; or the
    returns of `config.n_step` steps. Steps that end an episode bootstrap as any others, unless
    d = 0.

    Args:
      rewards: of T steps.
      value: [T + 1, B, k] f32, V.
      hp: with `gamma` and `td_lambda`.
      config: with `n_step`.
    """
    if config.n_step:
        one = lambda r, d, v, last, valid: n_step(r, d, v, last, config.n_step, valid)
    else:
        one = lambda r, d, v, last, valid: lambda_returns(r, d, v, last, hp.td_lambda, valid)
    valid = jnp.broadcast_to(rewards.valid[..., None], rewards.reward.shape)
    discount = hp.gamma * rewards.discount
    found = over_trajectories(one)(rewards.reward, discount, value[:-1], value[-1], valid)
    return jax.lax.stop_gradient(found)


def loss(
    online: Weights, learner: Learner, target: Weights, batch: Batch, hp: Hparams
) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
    """Returns (the loss [] of a batch, (metrics [], size of each sequence's TD errors [B]))."""
    config, stacks, factorisation = learner.config, learner.stacks, learner.factorisation
    sequences = time_first(batch.sequences)
    central = central_input(stacks, sequences.timestep)
    rewards = factorisation.rewards(sequences.timestep)
    actions = one_hot_actions(stacks, sequences.actions)
    (agents, joint), (target_agents, target_joint) = online, target
    target_values = agent_values(stacks, learner.networks, target_agents, sequences)
    values = agent_values(stacks, learner.networks, agents, sequences)

    selecting = values if config.double_q else target_values
    best = greedy_actions(selecting.q, central.mask)
    next_value = factorisation.value(target_joint, target_values, best, central)
    targets = td_targets(rewards, next_value, hp, config)
    steps = slice(None, -1)
    td, metrics = factorisation.loss(
        joint, time_slice(values, steps), actions, time_slice(central, steps), targets, hp
    )

    in_loss = rewards.in_loss & warmed_up(sequences, config.burn_in)[..., None]
    losses = td.loss
    if batch.importance_weight is not None:
        losses = losses * batch.importance_weight[:, None]
    mean_of = lambda x: masked_mean(x, in_loss)
    mean = mean_of(losses)
    metrics = jax.tree.map(mean_of, metrics) | {"loss": mean, "q": mean_of(td.q)}
    return mean, (metrics, jax.vmap(masked_mean, 1)(td.error, in_loss))


def gradient_step(
    learner: Learner,
    online: Weights,
    opt_state: Any,
    target: Weights,
    batch: Batch,
    hp: Hparams,
    update_index: jax.Array,
) -> tuple[Weights, Any, Metrics, jax.Array]:
    """Returns (weights, the optimiser's state, metrics, TD errors [B]) after one step."""
    gradient = jax.grad(loss, has_aux=True)
    grads, (metrics, error) = gradient(online, learner, target, batch, hp)
    rule = optimiser(learner.config, hp, update_index)
    updates, opt_state = rule.update(grads, opt_state, online)
    moved: Any = optax.apply_updates(online, updates)
    return moved, opt_state, metrics, error


def learn(
    learner: Learner, key: Key, state: State, new: Sequences, hp: Hparams, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after all gradient steps of an update, and the metrics of each.

    Args:
      learner: what was built.
      key: randomness.
      state: with the new sequences in its buffer.
      new: what was just played, leaves [B, ...].
      hp: traced numbers.
      update_index: [] int32.
    """

    def step(carry, number):
        online, opt_state, priorities = carry
        batch = learner.replay.sample(key, state.buffer, priorities, new, update_index, number, hp)
        online, opt_state, metrics, error = gradient_step(
            learner, online, opt_state, state.target, batch, hp, update_index
        )
        priorities = learner.replay.update_priorities(priorities, batch.positions, error)
        return (online, opt_state, priorities), metrics

    start = (state.params.agents, state.params.joint), state.optimiser, state.priorities
    steps = jnp.arange(learner.config.num_gradient_steps)
    (online, opt_state, priorities), metrics = packed_scan(step, start, steps)
    params = Params(*online, state.params.epsilon)
    return dataclasses.replace(
        state, params=params, optimiser=opt_state, priorities=priorities
    ), metrics


def learn_once_started(
    learner: Learner, key: Key, state: State, new: Sequences, hp: Hparams, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after the gradient steps and a move of the target, and mean metrics.

    Until `hp.learning_starts` steps have been played the learner stays as it was, and its metrics
    are 0; `gradient_steps` counts those that were taken. Arguments as in `learn`.
    """
    config = learner.config
    learned, metrics = learn(learner, key, state, new, hp, update_index)
    online = learned.params.agents, learned.params.joint
    target = optax.incremental_update(online, state.target, target_step_size(hp, update_index))
    # chosen between, not branched on: the number is one of the run's, and differs within a sweep
    started = learning_has_started(update_index, env_steps(config), hp.learning_starts)
    what_learns = lambda s: (s.params, s.target, s.optimiser, s.priorities)
    params, target, opt_state, priorities = select(
        started, what_learns(dataclasses.replace(learned, target=target)), what_learns(state)
    )
    state = State(params, target, opt_state, state.buffer, priorities, state.play)
    steps = jnp.float32(config.num_gradient_steps)
    metrics = jax.tree.map(jnp.mean, metrics) | {"gradient_steps": steps}
    return state, jax.tree.map(lambda x: jnp.where(started, x, 0.0), metrics)


# ---- the learner


def env_steps(config: Config) -> int:
    """Returns the steps of an update over all environments, those after an end included."""
    return config.rollout_length * config.num_envs


def init(learner: Learner, key: Key, hp: Hparams) -> State:
    """Returns the state before the first update."""
    config, env = learner.config, learner.env
    key_agents, key_joint, key_play = jax.random.split(key, 3)
    agents = {}
    for i, stack in enumerate(learner.stacks):
        fresh = partial(init_network, learner.networks[stack.name])
        stack_key = jax.random.fold_in(key_agents, i)
        keys = jax.random.split(stack_key, stack.size) if stack.separate else stack_key
        agents[stack.name] = per_agent(stack, fresh, 0)(keys)
    online = agents, learner.factorisation.init(key_joint)
    params = Params(*online, jnp.asarray(hp.epsilon, jnp.float32))
    empty = initial_memories(learner.stacks, config)
    start = jax.vmap(lambda key: begin(key, env, empty))
    play = start(jax.random.split(key_play, config.num_envs))
    one = jax.tree.map(lambda leaf: leaf[0], play)
    _, sequence, _ = jax.eval_shape(partial(collect, learner), key_play, params, one)
    buffer, priorities = learner.replay.init(sequence)
    opt_state = optimiser(config, hp, jnp.int32(0)).init(online)
    return State(params, online, opt_state, buffer, priorities, play)


def update(
    learner: Learner, key: Key, state: State, hp: Hparams, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after an update, and its metrics: collect, store, learn."""
    config = learner.config
    key_play, key_learn = jax.random.split(key)
    epsilon = epsilon_at(hp, update_index, env_steps(config))
    params = dataclasses.replace(state.params, epsilon=epsilon)
    keys = jax.random.split(key_play, config.num_envs)
    collect_all = jax.vmap(partial(collect, learner), (0, None, 0))
    play, new, arrivals = collect_all(keys, params, state.play)
    buffer, priorities = learner.replay.add(state.buffer, state.priorities, new, update_index)
    state = dataclasses.replace(
        state, params=params, buffer=buffer, priorities=priorities, play=play
    )
    state, metrics = learn_once_started(learner, key_learn, state, new, hp, update_index)
    played = ~new.timestep.last[:, :-1]
    metrics |= {"epsilon": epsilon} | episode_metrics(learner.env, arrivals, played)
    return state, metrics


def require_discrete(name: str, env: Environment) -> None:
    """Raises ValueError unless all agents have discrete actions."""
    for group_name, group in env.groups.items():
        discrete(group.action, name, group_name)


def make_learner(name: str, env: Environment, config: Config, factorise: Factorise) -> Learner:
    """Returns what the phases of an update are made of; raises as `value_factorisation` does."""
    require_own(name, config, Config)
    require_discrete(name, env)
    stacks = agent_stacks(env, config.share, config.agent_ids)
    networks = {stack.name: agent_network(stack, config) for stack in stacks}
    factorisation = factorise(name, env, stacks, config)
    replay = REPLAYS[config.replay](config)
    return Learner(config, episodic(env), stacks, networks, factorisation, replay)


def value_factorisation(
    name: str, env: Environment, config: Config, hparams: Hparams, factorise: Factorise
) -> Algorithm:
    """Returns the algorithm.

    Args:
      name: of the algorithm, for messages.
      env: discrete actions, any number of groups, action masks, deaths; one team where the
        factorisation is a team's.
      config: what shapes the program, with all that the factorisation reads.
      hparams: the defaults.
      factorise: builds what tells the algorithm from others.

    Raises:
      ValueError: the environment does not fit, or the replay would not fit in memory.
    """
    learner = make_learner(name, env, config, factorise)
    policy = Policy(
        memory=partial(initial_memories, learner.stacks, config),
        act=partial(act, learner, explore),
        greedy=partial(act, learner, exploit),
    )
    algorithm = Algorithm(
        partial(init, learner),
        partial(update, learner),
        policy,
        hparams,
        env_steps=env_steps(config),
    )
    require_memory("capacity", config.capacity, buffer_shapes(algorithm))
    return algorithm


def buffer_shapes(algorithm: Algorithm) -> Any:
    """Returns the shapes of what one run stores; `replay.num_bytes` of it is the memory it takes.

    Nothing is allocated.
    """
    return jax.eval_shape(algorithm.init, jax.random.key(0), algorithm.hparams).buffer
