"""WoLF-PHC on a hundred random games as one program: rates x opponents x seeds x games.

Player 0 is WoLF-PHC and learns its values with one of five rates. Its opponents are its own like,
PHC, a slow and a fast hill climber, and one who stands still: numbers of one rule, and so leaves,
as are payoffs and masks. 5 rates x 5 opponents x 1,000 seeds x 100 games are 2.5 million runs of
one program; games come one after another, the rest side by side. Payoffs are uniform in [-1, 1],
games 2 x 2 to 3 x 3, the smaller ones with illegal actions. What is found is regret: what a best
response to the other's final strategy would earn more than one's own.

    XLA_FLAGS=--xla_force_host_platform_device_count=2 \\
        python -m jaxmarl_core.experiments.benchmarks.wolf_phc_sweep --seeds 1000
"""

import argparse
import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import PartitionSpec

from jaxmarl_core import hparams
from jaxmarl_core.algos.tabular.engine import tabular
from jaxmarl_core.algos.tabular.hparams import Hparams as TabularHparams
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.algos.tabular.wolf_phc import Config, epsilon_soft
from jaxmarl_core.algos.tabular.wolf_phc import rule as wolf_rule
from jaxmarl_core.envs.matrix_games import GameState, RepeatedGame
from jaxmarl_core.hparams import hparam
from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import TimeStep

SIZE, NUM_ROUNDS, SMALL = 3, 200, 0.05  # a regret below this counts as none
RATES = (0.05, 0.1, 0.2, 0.4, 0.8)
WIN_STEP, LOSE_RATIO = 0.02, 4.0
OPPONENTS = {  # winning step, and a losing step over it
    "WoLF-PHC": (WIN_STEP, LOSE_RATIO),
    "PHC": (WIN_STEP * LOSE_RATIO, 1.0),
    "PHC, slow": (WIN_STEP / 4, 1.0),
    "PHC, fast": (0.5, 1.0),
    "stationary": (0.0, 1.0),  # stays where it started: anywhere on the simplex
}


@struct.dataclass
class Hparams(TabularHparams):
    """Player 0's numbers, and the opponent's steps."""

    learning_rate: float = hparam(0.1, 0.0, 1.0, "log")
    gamma: float = hparam(0.0, 0.0, 1.0)
    epsilon: float = hparam(0.05, 0.0, 1.0)  # who never plays an action never learns its value
    final_epsilon: float = hparam(0.05, 0.0, 1.0)
    win_step: float = hparam(WIN_STEP, 0.0, 1.0, "log")
    lose_ratio: float = hparam(LOSE_RATIO, 1.0, 1e6, "log")
    other_win_step: float = hparam(WIN_STEP, 0.0, 1.0, "log")
    other_lose_ratio: float = hparam(LOSE_RATIO, 1.0, 1e6, "log")


@struct.dataclass
class MaskedGame(RepeatedGame):
    """A repeated game of two in which some actions are illegal."""

    legal: jax.Array | None = None  # [2, A] bool

    def observe(self, state: GameState) -> TimeStep:
        assert self.legal is not None  # it has a default as the fields before it do
        masks = {name: self.legal[i : i + 1] for i, name in enumerate(self.groups)}
        return dataclasses.replace(super().observe(state), action_mask=masks)


def random_games(num_games: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns payoffs [G, 2, 3, 3] and legal [G, 2, 3]: sizes 2 or 3 for each player."""
    rng = np.random.default_rng(seed)
    payoffs = rng.uniform(-1, 1, (num_games, 2, SIZE, SIZE)).astype(np.float32)
    legal = np.arange(SIZE) < rng.integers(2, SIZE + 1, (num_games, 2, 1))
    return payoffs, legal


def player_rule(info: GameInfo) -> Rule:
    """Returns WoLF-PHC, whose steps are the opponent's for player 1."""
    rule = wolf_rule(info, "constant", "constant", "random")
    if info.player == 0:
        return rule

    def learn(entry, next_entry, t, hp):
        other = hp.replace(win_step=hp.other_win_step, lose_ratio=hp.other_lose_ratio)
        return rule.learn(entry, next_entry, t, other)

    return rule._replace(learn=learn)


def regrets(payoffs: jax.Array, legal: jax.Array, key: jax.Array, hp: Hparams) -> jax.Array:
    """Returns [2] f32: each player's regret after a run on one game."""
    spread = jnp.zeros_like(payoffs)
    env = MaskedGame(payoffs, spread, (SIZE, SIZE), num_rounds=None, legal=legal)
    algorithm = tabular(env, Config(NUM_ROUNDS), player_rule, Hparams())
    train, _ = make_train(algorithm, env, Schedule(1))
    state, _ = train(key, hp)
    tables = state.params.tables.values()
    x, y = (epsilon_soft(table.pi[0, 0], mask, 0.0) for table, mask in zip(tables, legal))
    worth = payoffs[0] @ y, payoffs[1].T @ x
    best = [jnp.where(mask, w, -jnp.inf).max() for mask, w in zip(legal, worth)]
    return jnp.stack([best[0] - worth[0] @ x, best[1] - worth[1] @ y])


def program(num_seeds: int):
    """Returns the jitted program: games [G, ...] to figures [G, 2, rates, opponents, 2].

    The figures are the mean over seeds of both players' regret, and the share of it below SMALL.
    """
    steps, ratios = zip(*OPPONENTS.values())
    rows = hparams.table(
        Hparams(),
        learning_rate=np.repeat(RATES, len(OPPONENTS)),
        other_win_step=np.tile(steps, len(RATES)),
        other_lose_ratio=np.tile(ratios, len(RATES)),
    )
    keys = jax.random.split(jax.random.key(0), num_seeds)

    def one_game(game):
        payoffs, legal = game
        over_seeds = jax.vmap(regrets, (None, None, 0, None))
        found = jax.vmap(over_seeds, (None, None, None, 0))(
            payoffs, legal, keys, rows
        )  # [25, R, 2]
        figures = jnp.stack([found.mean(axis=1), (found < SMALL).mean(axis=1)])
        return figures.reshape(2, len(RATES), len(OPPONENTS), 2)

    games = PartitionSpec("run")
    whole = lambda game: jax.lax.map(one_game, game)
    return jax.jit(
        jax.shard_map(
            whole, mesh=run_mesh(), in_specs=((games, games),), out_specs=games, check_vma=False
        )
    )


def main() -> None:
    """Runs the sweep and prints what it took and what it found."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--games", type=int, default=100)
    args = parser.parse_args()
    devices = len(jax.devices())
    if args.games % devices:
        parser.error(f"--games: expected a multiple of the devices ({devices}), got {args.games}")
    games = tuple(jnp.asarray(part) for part in random_games(args.games))

    began = time.perf_counter()
    compiled = program(args.seeds).lower(games).compile()
    ready = time.perf_counter()
    figures = np.asarray(compiled(games))  # [G, 2, rates, opponents, player]
    seconds = time.perf_counter() - ready
    runs = args.games * args.seeds * len(RATES) * len(OPPONENTS)
    rate = runs * NUM_ROUNDS / seconds / 1e6
    print(
        f"{runs:,} runs of {NUM_ROUNDS} rounds in one program on {devices} device(s): "
        f"{seconds:.0f} s, {rate:.2f} million rounds a second; compiled in {ready - began:.0f} s"
    )
    regret, none = figures.mean(axis=0)
    print(f"\nregret of WoLF-PHC in the mean (share of runs below {SMALL}), of the other one below")
    print(f"{'rate':>6}  " + "".join(f"{name:>18}" for name in OPPONENTS))
    for i, value in enumerate(RATES):
        for player, label in ((0, f"{value:g}"), (1, "")):
            cells = [
                f"{regret[i, j, player]:.3f} ({100 * none[i, j, player]:3.0f} %)"
                for j in range(len(OPPONENTS))
            ]
            print(f"{label:>6}  " + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
