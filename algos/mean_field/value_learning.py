"""How MF-Q and its blind twin act and learn: Boltzmann play on Q-values, down the TD loss."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from jaxmarl_core.algos.mean_field.collecting import Choose, Learning, Method
from jaxmarl_core.algos.mean_field.networks import ActionNetwork
from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.algos.mean_field.policy import temperature_unit
from jaxmarl_core.algos.mean_field.td_loss import Transition, td_loss
from jaxmarl_core.functional.exploration import boltzmann, greedy
from jaxmarl_core.learners.networks import apply
from jaxmarl_core.recipes import decided
from jaxmarl_core.spaces import Space, zeros
from jaxmarl_core.types import Key, Metrics


def optimiser(hp: Hparams) -> optax.GradientTransformation:
    """Returns Adam at the learning rate."""
    return optax.adam(hp.learning_rate)


def best_action(network, config, weights, key, observation, mean_action, mask, temperature):
    """Returns the best legal actions, [n] int32."""
    return greedy(apply(network, weights, observation, mean_action), mask)


def boltzmann_action(network, config, weights, key, observation, mean_action, mask, temperature):
    """Returns actions drawn from softmax(Q / temperature), [n] int32."""
    q = apply(network, weights, observation, mean_action)
    return boltzmann(key, q, temperature * temperature_unit(config, q, mask), mask)


EXPLORATION = {"boltzmann": boltzmann_action, "greedy": best_action}


def gradient_step(
    network: ActionNetwork,
    config: Config,
    weights: Learning,
    transition: Transition,
    temperature: jax.Array,
    hp: Hparams,
) -> tuple[Learning, Metrics]:
    """Returns ((online, target, the optimiser's state), loss and mean Q) after one step."""
    online, target, opt_state = weights
    loss = partial(td_loss, partial(apply, network), config=config)
    gradient = jax.value_and_grad(loss, has_aux=True)
    (found, q), grads = gradient(online, target, transition, temperature, hp.gamma)
    updates, opt_state = optimiser(hp).update(grads, opt_state)
    online = optax.apply_updates(online, updates)
    target = optax.incremental_update(online, target, hp.tau)
    return (online, target, opt_state), {"loss": found, "q": q}


def q_learning(space: Space, num_actions: int, config: Config) -> Method:
    """Returns the method; `exploration` and `target` of the config are decided."""
    network = ActionNetwork(space, num_actions, config, config.mean_action_hidden)
    chosen_by = lambda choose: partial(choose, network, config)
    explore: Choose = chosen_by(EXPLORATION[decided(config.exploration)])

    def init(key: Key):
        return network.init(key, zeros(space), jnp.zeros(num_actions))

    start = lambda online, hp: optimiser(hp).init(online)
    step = partial(gradient_step, network, config)
    return Method(init, start, explore, chosen_by(best_action), step)
