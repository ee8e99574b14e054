"""The engine of value factorisation: play, remember sequences, learn joint values from them.

One update plays `rollout_length` steps of `num_envs` environments, in which every agent takes its
own best action or, with probability epsilon, any. What was played goes to a source of sequences,
and `num_gradient_steps` steps are taken on what the source hands out; then the target networks
move. What varies between algorithms is handed in:

    factorise   what joint actions are worth, and how wrong that is    factorisation.py
    source      what is learnt from, named by the config               sources.py

A stored sequence begins with the memories its agents had when it was played, and networks are
unrolled from there; where it begins an episode they are empty, and so exact. Kapturowski et al.,
2019 (R2D2), ICLR, call this the stored state.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxmarl_core.algos.value_factorisation.factorisation import Factorise, best, rows
from jaxmarl_core.algos.value_factorisation.networks import agent, optimiser
from jaxmarl_core.algos.value_factorisation.networks import init as init_network
from jaxmarl_core.algos.value_factorisation.options import Config, moved
from jaxmarl_core.algos.value_factorisation.sequences import (
    Recall,
    Sequences,
    done,
    each,
    looked,
    memory_of,
    outlook,
    sight,
)
from jaxmarl_core.algos.value_factorisation.sources import SOURCES
from jaxmarl_core.functional.exploration import epsilon_greedy_probs, greedy, linear, pick
from jaxmarl_core.functional.losses import masked_mean
from jaxmarl_core.functional.returns import lambda_returns, n_step
from jaxmarl_core.learners import replay as buffers
from jaxmarl_core.learners.parameter_sharing import agent_stacks, legal_actions, split_groups
from jaxmarl_core.play.rollout import Play, begin, rollout
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Algorithm, Environment, Policy


@struct.dataclass
class Params:
    """What is learnt; the policy reads the agents and epsilon."""

    agents: dict[str, Any]  # stack -> parameters, with a leading axis n if not shared
    joint: Any  # of what the factorisation adds
    epsilon: jax.Array  # [] f32


@struct.dataclass
class State:
    params: Params
    target: tuple[Any, Any]  # agents, joint
    optimiser: Any
    stored: Any  # leaves [capacity, T + 1, ...]
    priorities: Any  # [capacity] f32, or ()
    play: Play  # leaves [B, ...]


def require_discrete(name: str, env: Environment) -> None:
    """Raises ValueError unless all agents have discrete actions."""
    for group_name, group in env.groups.items():
        if not isinstance(group.action, Discrete):
            raise ValueError(
                f'{name}: needs discrete actions, group "{group_name}" has {group.action}'
            )


def targets(payoff: Any, value: jax.Array, hp: Any, config: Config) -> jax.Array:
    """Returns what the joint actions of T steps should be worth, [T, B, k], without gradient.

        G_t = r_t + gamma d_t ((1 - lam) V_{t+1} + lam G_{t+1}),   G_T = V_T

    with V what the target network makes of the best joint action: Peng's Q(lambda) (Peng &
    Williams, 1996, Machine Learning 22), of which lam = 0 is Q-learning's one step; or the
    returns of `config.n_step` steps. Rows that end an episode bootstrap as any others, unless
    d = 0.

    Args:
      payoff: of T steps.
      value: [T + 1, B, k] f32, V.
      hp: with `gamma` and `td_lambda`.
      config: with `n_step`.
    """
    if config.n_step:
        one = lambda *args: n_step(*args[:4], config.n_step, args[4])
    else:
        one = lambda *args: lambda_returns(*args[:4], hp.td_lambda, args[4])
    valid = jnp.broadcast_to(payoff.valid[..., None], payoff.reward.shape)
    over_rows = lambda f: jax.vmap(f, (1, 1, 1, 0, 1), 1)
    discount = hp.gamma * payoff.discount
    found = over_rows(over_rows(one))(payoff.reward, discount, value[:-1], value[-1], valid)
    return jax.lax.stop_gradient(found)


def value_factorisation(
    name: str, env: Environment, config: Config, hparams: Any, factorise: Factorise
) -> Algorithm:
    """Returns the learner.

    Args:
      name: of the algorithm, for messages.
      env: discrete actions, any number of groups, action masks, deaths; one team where the
        factorisation is a team's.
      config: what shapes the program.
      hparams: the defaults.
      factorise: builds what tells the algorithm from others.

    Raises:
      ValueError: the environment does not fit, or the replay would not fit in memory.
    """
    require_discrete(name, env)
    world = episodic(env)
    stacks = agent_stacks(env, config.share, config.agent_ids)
    num_agents = sum(stack.size for stack in stacks)
    nets = {stack.name: agent(stack, config) for stack in stacks}
    factors = factorise(name, env, stacks, config)
    source = SOURCES[config.source](config)
    nothing = partial(memory_of, stacks, config)

    # ---- acting

    def play_by(choose):
        def act(params, key, timestep, memory):
            # one draw for all agents: a key a stack would cost as much as the stack's network
            share = jax.random.uniform(key, (num_agents,))
            actions, carried = {}, {}
            for stack in stacks:
                hidden, before = memory[stack.name]
                apply = each(stack, nets[stack.name].apply, 0)
                observation = looked(stack, timestep, before, 0)
                hidden, (q, _) = apply(params.agents[stack.name], hidden, observation)
                some = share[stack.first : stack.first + stack.size]
                action = choose(some, q, legal_actions(stack, timestep, 0), params.epsilon)
                carried[stack.name] = Recall(hidden, action if config.last_action else ())
                actions |= split_groups(stack, action, 0)
            return actions, carried

        return act

    explore = play_by(lambda some, q, mask, eps: pick(some, epsilon_greedy_probs(q, eps, mask)))
    policy = Policy(nothing, explore, play_by(lambda some, q, mask, eps: greedy(q, mask)))

    def needed(timestep):
        """Returns the time step without what is not learnt from."""
        state = timestep.state if factors.uses_state else ()
        return timestep.replace(state=state, mean_action={}, extras={})

    def play_on(key, params, play):
        """Plays one environment on; returns where it stands, a sequence, and its time steps."""

        def act(key, timestep, memory):
            return *policy.act(params, key, timestep, memory), ()

        following, steps = rollout(key, world, act, play, config.rollout_length, nothing())
        join = lambda earlier, final: jnp.concatenate([earlier, final[None]])
        timestep = jax.tree.map(join, needed(steps.timestep), needed(following.timestep))
        return following, Sequences(timestep, steps.actions, play.memory), steps.timestep

    # ---- learning

    def learn(learnt, target, opt_state, drawn, hp, index):
        """Takes one gradient step; returns what is learnt, the optimiser's state, and figures."""
        sequences = drawn.sequences
        forward = lambda tree: jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), tree)
        sequences = sequences._replace(
            timestep=forward(sequences.timestep), actions=forward(sequences.actions)
        )
        view, payoff = sight(stacks, sequences.timestep), factors.payoffs(sequences.timestep)
        actions = done(stacks, sequences.actions)
        aim = outlook(stacks, nets, target[0], sequences)

        def loss(learnt):
            agents, joint = learnt
            live = outlook(stacks, nets, agents, sequences)
            chooser = live if config.double_q else aim
            value = factors.value(target[1], aim, best(chooser.q, view.mask), view)
            goal = targets(payoff, value, hp, config)
            early = slice(None, -1)
            verdict, figures = factors.loss(
                joint, rows(live, early), actions, rows(view, early), goal, hp
            )
            weighed = verdict.loss
            if drawn.weight is not None:
                weighed = weighed * drawn.weight[:, None]
            mean_of = lambda x: masked_mean(x, payoff.counts)
            mean, figures = mean_of(weighed), jax.tree.map(mean_of, figures)
            return mean, (figures | {"loss": mean, "q": mean_of(verdict.q)}, verdict.error)

        grads, (figures, error) = jax.grad(loss, has_aux=True)(learnt)
        updates, opt_state = optimiser(config, hp, index).update(grads, opt_state, learnt)
        of_one = jax.vmap(masked_mean, 1)
        return (
            optax.apply_updates(learnt, updates),
            opt_state,
            figures,
            of_one(error, payoff.counts),
        )

    # ---- the learner

    def init(key, hp):
        key_agents, key_joint, key_play = jax.random.split(key, 3)
        agents = {}
        for i, stack in enumerate(stacks):
            fresh = partial(init_network, nets[stack.name])
            stack_key = jax.random.fold_in(key_agents, i)
            keys = jax.random.split(stack_key, stack.size) if stack.separate else stack_key
            agents[stack.name] = each(stack, fresh, 0)(keys)
        learnt = agents, factors.init(key_joint)
        params = Params(*learnt, jnp.asarray(hp.epsilon, jnp.float32))
        start = jax.vmap(lambda key: begin(key, world, nothing()))
        play = start(jax.random.split(key_play, config.num_envs))
        one = jax.tree.map(lambda leaf: leaf[0], play)
        _, sequence, _ = jax.eval_shape(play_on, key_play, params, one)
        stored, priorities = source.init(sequence)
        opt_state = optimiser(config, hp, jnp.int32(0)).init(learnt)
        return State(params, learnt, opt_state, stored, priorities, play)

    def update(key, state, hp, index):
        key_play, key_learn = jax.random.split(key)
        share = index * env_steps / hp.explore_steps
        epsilon = linear(hp.epsilon, hp.final_epsilon, share).astype(jnp.float32)
        params = state.params.replace(epsilon=epsilon)
        keys = jax.random.split(key_play, config.num_envs)
        play, new, timesteps = jax.vmap(play_on, (0, None, 0))(keys, params, state.play)
        stored, priorities = source.add(state.stored, state.priorities, new, index)

        def step(carry, number):
            learnt, opt_state, priorities = carry
            drawn = source.draw(key_learn, stored, priorities, new, index, number, hp)
            learnt, opt_state, figures, error = learn(
                learnt, state.target, opt_state, drawn, hp, index
            )
            priorities = source.judge(priorities, drawn.where, error)
            return (learnt, opt_state, priorities), figures

        start = (params.agents, params.joint), state.optimiser, priorities
        steps = jnp.arange(config.num_gradient_steps)
        (learnt, opt_state, priorities), figures = jax.lax.scan(step, start, steps)
        target = optax.incremental_update(learnt, state.target, moved(hp, index))
        params = Params(*learnt, epsilon)
        metrics = jax.tree.map(jnp.mean, figures) | {"epsilon": epsilon}
        state = State(params, target, opt_state, stored, priorities, play)
        return state, metrics | episode_metrics(world, timesteps)

    env_steps = config.rollout_length * config.num_envs
    algorithm = Algorithm(init, update, policy, hparams, env_steps)
    buffers.require_memory("capacity", config.capacity, replay(algorithm))
    return algorithm


def replay(algorithm: Algorithm) -> Any:
    """Returns the shapes of what one run stores; `buffers.num_bytes` of it is the memory it takes.

    Nothing is allocated.
    """
    return jax.eval_shape(algorithm.init, jax.random.key(0), algorithm.hparams).stored
