"""Is the mean action worth having? MF-Q and its blind twin on the 64 v 64 battle, side by side.

Both train with the options of battle_mfq.toml (one learning rate) on four seeds. Then each seed
plays 200 battles against random soldiers, and 200 against the twin of the same seed: half as red
and half as blue, as red moves first where two want one cell.

Expected: both win at least 95 % against random on every seed. Between the twins the published
order (MF-Q ahead, Yang et al., 2018, fig. 8) is from 2,000 games of self-play, about eighty times
this budget; users of its program report it both ways round.

    python -m jaxmarl_core.experiments.battle_twins
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core import hparams as hp
from jaxmarl_core import spec as specs
from jaxmarl_core.evaluate import evaluate
from jaxmarl_core.policies import Player, joint, random_policy
from jaxmarl_core.registry import make_algorithm, make_environment
from jaxmarl_core.sweep import run_mesh, sharded, sweep
from jaxmarl_core.train import Schedule, make_train

SPEC = Path(__file__).with_name("battle_mfq.toml")
LEARNING_RATE = 1e-3
NUM_SEEDS, NUM_BATTLES = 4, 200


def trained(name: str, num_updates: int | None = None) -> tuple[Any, Any, Any]:
    """Returns (environment, policy, params [NUM_SEEDS, ...]) of an algorithm after the budget."""
    spec = specs.load(SPEC)
    env = make_environment(spec.environment, **spec.environment_options)
    algorithm = make_algorithm(spec.algorithm if name == "mfq" else name, env, **spec.config)
    train, _ = make_train(algorithm, env, Schedule(num_updates or spec.updates))
    table = hp.rows(algorithm.hparams.replace(**spec.hparams), learning_rate=LEARNING_RATE)
    keys = jax.vmap(jax.random.key)(jnp.arange(NUM_SEEDS))
    learned = lambda key, row: train(key, row)[0].params  # the replay is dropped on the device
    params = sweep(learned, keys, table)
    return env, algorithm.policy, jax.tree.map(lambda leaf: leaf[0], params)


def share_won(env: Any, red: Player, blue: Player, num_battles: int) -> tuple[np.ndarray, ...]:
    """Returns the shares [NUM_SEEDS] of battles won by red and by blue; the rest are draws."""

    def play(key, red_params, blue_params):
        players = {
            "red": red._replace(params=red_params),
            "blue": blue._replace(params=blue_params),
        }
        winner = evaluate(key, env, joint(env, players), num_battles, env.max_steps).winner
        return (winner == 0).mean(), (winner == 1).mean()

    keys = jax.vmap(jax.random.key)(1000 + jnp.arange(NUM_SEEDS))
    played: Callable = sharded(play, run_mesh(), (0, 0, 0))
    return tuple(map(np.asarray, played(keys, red.params, blue.params)))


def against(env: Any, player: Player, other: Player) -> tuple[np.ndarray, np.ndarray]:
    """Returns the shares [NUM_SEEDS] that `player` and `other` win, sides changed at half time."""
    first, second = share_won(env, player, other, NUM_BATTLES // 2)
    fourth, third = share_won(env, other, player, NUM_BATTLES // 2)
    return (first + third) / 2, (second + fourth) / 2


def measure() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns pairing -> (shares won by the first, by the second), each [NUM_SEEDS]."""
    env, policy, params = trained("mfq")
    _, blind_policy, blind_params = trained("il")
    mfq, il = Player(policy, params), Player(blind_policy, blind_params)
    chance = Player(random_policy(env), ())
    return {
        "mfq v random": share_won(env, mfq, chance, NUM_BATTLES),
        "il v random": share_won(env, il, chance, NUM_BATTLES),
        "mfq v il": against(env, mfq, il),
    }


def main() -> None:
    """Prints the table."""
    for pairing, (won, lost) in measure().items():
        each = " ".join(f"{share:.3f}" for share in won)
        print(
            f"{pairing:14} won {won.mean():.3f} (seeds: {each}), lost {lost.mean():.3f}", flush=True
        )


if __name__ == "__main__":
    main()
