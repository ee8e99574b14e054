"""Is the mean action worth having? MF-Q and its blind twin on the 64 v 64 battle, side by side.

Both train with the options of battle_mfq.toml on four seeds, in which all of both fight. Then each
seed plays 200 battles against random soldiers, and 200 against the twin of the same seed: half as
red and half as blue, as red moves first where two want one cell. All draw from what they learnt.

Against random soldiers, who kill 0.2 of 64 and lose 1.0 to their like (as those who stand still
kill 0 and lose 0.2), both must kill half and twice what they lose, on every seed: or there is
nothing to compare. Between the twins the published order (MF-Q ahead, Yang et al., 2018, fig. 8)
is from 2,000 games of self-play, some 160 times this budget; users of its program report it both
ways round.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core import hparams as hp
from jaxmarl_core.experiments.study import Claim, Findings, Study, mean_std
from jaxmarl_core.play.evaluate import evaluate
from jaxmarl_core.play.policies import Player, joint, random_policy
from jaxmarl_core.registry import make_algorithm, make_environment
from jaxmarl_core.sweeps import spec as specs
from jaxmarl_core.sweeps.batch import run_mesh, sharded, sweep
from jaxmarl_core.train import Schedule, make_train

SPEC = Path(__file__).parents[1] / "specs" / "battle_mfq.toml"
NUM_BATTLES = 200
HALF = 32  # of an army


def trained(name: str, num_seeds: int, num_updates: int | None = None) -> tuple[Any, Any, Any]:
    """Returns (environment, policy, params [num_seeds, ...]) of an algorithm after the budget."""
    spec = specs.load(SPEC)
    env = make_environment(spec.environment, **spec.environment_options)
    algorithm = make_algorithm(spec.algorithm if name == "mfq" else name, env, **spec.config)
    train, _ = make_train(algorithm, env, Schedule(num_updates or spec.updates))
    table = hp.table(algorithm.hparams.replace(**spec.hparams))
    keys = jax.vmap(jax.random.key)(jnp.arange(num_seeds))
    learned = lambda key, row: train(key, row)[0].params  # the replay is dropped on the device
    params = sweep(learned, keys, table)
    return env, algorithm.policy, jax.tree.map(lambda leaf: leaf[0], params)


class Outcome(NamedTuple):
    """What came of many battles, by seed, [num_seeds] f32 each."""

    won: np.ndarray  # share of battles; the rest are lost or draws
    lost: np.ndarray
    kills: np.ndarray  # of 64, a battle
    losses: np.ndarray

    def seen_by_the_other(self) -> "Outcome":
        """Returns the same of the other side."""
        return Outcome(self.lost, self.won, self.losses, self.kills)


def fought(env: Any, red: Player, blue: Player, num_battles: int, num_seeds: int) -> Outcome:
    """Returns what came of battles of two players, each seed's against the same seed's, to red."""

    def play(key, red_params, blue_params):
        players = {
            "red": red._replace(params=red_params),
            "blue": blue._replace(params=blue_params),
        }
        end = evaluate(key, env, joint(env, players), num_battles, env.max_steps, greedy=False)
        kills = end.team_figures["kills"].astype(jnp.float32).mean(axis=0)
        return (end.winner == 0).mean(), (end.winner == 1).mean(), kills[0], kills[1]

    keys = jax.vmap(jax.random.key)(1000 + jnp.arange(num_seeds))
    played: Callable = sharded(play, run_mesh(), (0, 0, 0))
    return Outcome(*map(np.asarray, played(keys, red.params, blue.params)))


def against(env: Any, player: Player, other: Player, num_seeds: int) -> Outcome:
    """Returns what came of battles, to `player`, sides changed at half time."""
    first = fought(env, player, other, NUM_BATTLES // 2, num_seeds)
    second = fought(env, other, player, NUM_BATTLES // 2, num_seeds).seen_by_the_other()
    return Outcome(*(np.mean(pair, axis=0) for pair in zip(first, second)))


def measure(num_seeds: int) -> Findings:
    """Trains both on so many seeds and lets them fight."""
    env, policy, params = trained("mfq", num_seeds)
    _, blind_policy, blind_params = trained("il", num_seeds)
    mfq, il = Player(policy, params), Player(blind_policy, blind_params)
    chance = Player(random_policy(env), ())
    claims = []
    for name, player in (("MF-Q", mfq), ("IL", il)):
        end = fought(env, player, chance, NUM_BATTLES, num_seeds)
        fights = (end.kills >= HALF) & (end.kills > 2 * end.losses)
        claims.append(
            Claim(
                f"{name} against random soldiers: kills of 64 (losses), over seeds",
                "at least 32 and twice its losses on every seed",
                "claim",
                f"{mean_std(end.kills)} ({mean_std(end.losses)})",
                bool(fights.all()),
            )
        )
    end = against(env, mfq, il, num_seeds)
    claims.append(
        Claim(
            "MF-Q against IL: battles won (lost)",
            "MF-Q ahead, after 2,000 games",
            "paper",
            f"{mean_std(end.won)} ({mean_std(end.lost)})",
            bool(end.won.mean() > end.lost.mean()),
        )
    )
    claims.append(
        Claim(
            "MF-Q against IL: kills of 64 (losses)",
            "",
            "claim",
            f"{mean_std(end.kills)} ({mean_std(end.losses)})",
            "beside the line above, which judges",
        )
    )
    return Findings(claims)


STUDY = Study(
    "Is the mean action worth having? MF-Q and IL on the battle",
    "Yang, Luo, Li, Zhou, Zhang & Wang, 2018, ICML, arXiv:1802.05438, figure 8",
    measure,
    published="MF-Q ahead after 2,000 games of self-play; the number of runs was not at hand.",
    rule="every seed kills half of a random army and twice what it loses; MF-Q wins more than it "
    "loses in the mean.",
    seeds=4,
)
