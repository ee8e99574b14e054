"""Minimax-Q and Q-learning in soccer: what random play teaches, and who survives a challenger.

Four policies of player A after a million steps: minimax-Q taught by a random opponent (MR) or by
another of its kind (MM), Q-learning likewise (QR, QQ). Each then plays 100,000 steps against random
play, and against a Q-learner that was trained to beat it and nobody else. A step ends the game in a
draw with probability 0.1. A safe policy may not win most, but it cannot be exploited.

Training is as in the paper but for the challenger, who has a quarter of its million steps; rates
fall to a hundredth in either time. The paper's hand-built opponent is not described, and left out.

Littman, 1994, ICML.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.tabular import minimax_q, q_learning
from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.fixed import fixed
from jaxmarl_core.algos.tabular.minimax_q import HPARAMS
from jaxmarl_core.algos.tabular.rates import Values
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.envs import soccer
from jaxmarl_core.experiments.study import Claim, Findings, Study, mean_std, over_seeds
from jaxmarl_core.functional.exploration import greedy, pick
from jaxmarl_core.functional.trees import select
from jaxmarl_core.report import svg
from jaxmarl_core.solvers.markov_games import backup, markov_game
from jaxmarl_core.solvers.normal_form.zero_sum import zero_sum
from jaxmarl_core.sweeps.batch import pad, run_mesh, sharded
from jaxmarl_core.train import Schedule, make_train

TRAINING, CHALLENGE, TEST = 1_000_000, 250_000, 100_000  # steps
DRAW, GAMMA = 0.1, 0.9
ENV = soccer(max_steps=None)  # who scores, and the game goes on: no episode ends
RATE = "exponential"
CONFIG = Config(1000, rate=RATE)


def q_rule(info: GameInfo) -> Rule:
    """Returns Q-learning with the values that minimax-Q starts from."""
    init = lambda key, hp: Values(jnp.full(info.num_actions[info.player], hp.first_value), ())
    return q_learning.rule(info, RATE)._replace(init=init)


LEARNERS = {
    "MR": {"A": minimax_q.rule, "B": fixed},
    "MM": {"A": minimax_q.rule, "B": minimax_q.rule},
    "QR": {"A": q_rule, "B": fixed},
    "QQ": {"A": q_rule, "B": q_rule},
}
# The paper's table from memory, per cent of decided games won; and the range that four runs of an
# independent replication found, whose challengers had a million steps. See the claims below.
RANDOM = {"MR": 99.3, "MM": 99.3, "QR": 99.4, "QQ": 99.5}
RANDOM_DECIDED = {
    **{"MR": (5091, 7426), "MM": (6226, 7269), "QR": (11180, 11358), "QQ": (8237, 8768)},
    "exact": (7092, 7307),
}
RANDOM_EXACT = (99.2, 99.4)  # per cent that the exact strategy wins against random play, likewise
CHALLENGER = {"MR": 35.0, "MM": 37.5, "QR": 0.0, "QQ": 0.0}
REPLICATED = {"MR": (15.6, 44.2), "MM": (42.3, 53.2), "QR": (26.5, 28.1), "QQ": (0.0, 0.0)}
DISTANCE = {"MR": 0.104, "MM": 0.055}  # mean |V - V*|, replicated
START_VALUE = 0.218484440  # of having the ball at the start, by Hoffman & Karp's iteration
# of the mean over seeds: a point of what all win against random play; six points around the range
# of four runs, which a hundred runs will leave; a fifth of a distance
POINT, MARGIN, SHARE = 1.0, 6.0, 0.2
DECIDED = 0.05  # of the number of decided games, around the range of those four runs
UNSOLVED = 1e-4  # of the steps may leave a stage game unsolved: its strategy stays for a visit
SHORTER = "no published challenger had so few steps"


def minimax() -> tuple[jax.Array, jax.Array]:
    """Returns A's exact values [S] and maximin strategies [S, 5], by value iteration."""
    game = markov_game(ENV)
    solve = jax.vmap(zero_sum)

    def sweep(value, _):
        return solve(backup(game, jnp.stack([value, -value]), GAMMA)[0]).value, None

    value, _ = jax.lax.scan(sweep, jnp.zeros(game.num_states), None, length=150)
    return value, solve(backup(game, jnp.stack([value, -value]), GAMMA)[0]).row


def trained(learner: str, num_seeds: int) -> tuple[jax.Array, ...]:
    """Returns A's strategies [R, S, 5], its values [R, S], and the share of unsolved games [R]."""
    algorithm = tabular(ENV, CONFIG, LEARNERS[learner], HPARAMS)

    def keep(state, metrics):
        table = state.params.tables["A"]
        if learner[0] == "Q":
            best = jax.nn.one_hot(greedy(table.q[0]), 5)
            return best, table.q[0].max(axis=1), jnp.float32(0)
        failed = metrics["solver_failure_A"].mean()
        return table.stage.strategy[0], table.stage.value[0, :, 0], failed

    return over_seeds(algorithm, ENV, TRAINING, num_seeds, keep, rate_period=TRAINING, gamma=GAMMA)


def challenger(key: jax.Array, strategies: jax.Array) -> jax.Array:
    """Returns the greedy strategies [S, 5] of a Q-learner that met one player A only [S, 5]."""
    algorithm = tabular(ENV, CONFIG, {"A": fixed, "B": q_rule}, HPARAMS)
    row = dataclasses.replace(HPARAMS, rate_period=CHALLENGE, gamma=GAMMA)
    _, resume = make_train(algorithm, ENV, Schedule(CHALLENGE // CONFIG.rollout_length))
    key_init, key_run = jax.random.split(key)
    state = algorithm.init(key_init, row)
    tables = state.params.tables | {"A": strategies[None]}
    state = state.replace(params=state.params.replace(tables=tables))
    state, _ = resume(key_run, state, row)
    return jax.nn.one_hot(greedy(state.params.tables["B"].q[0]), 5)


def tested(key: jax.Array, first: jax.Array, second: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns A's share of the decided games in per cent [], and their number [].

    Args:
      key: randomness.
      first, second: [S, 5] f32, the players' strategies.
    """

    def step(carry, key):
        state, goals = carry
        key_env, key_act, key_start = jax.random.split(key, 3)
        *draws, end = jax.random.uniform(key_act, (3,))
        at = ENV.encode(state)
        actions = [pick(draw, table[at])[None] for draw, table in zip(draws, (first, second))]
        state = ENV.advance(key_env, state, dict(zip("AB", actions)))
        goals = goals + (jnp.arange(2) == state.goal)
        return (select(end < DRAW, ENV.initial(key_start), state), goals), None

    start = ENV.initial(key), jnp.zeros(2, jnp.int32)
    (_, goals), _ = jax.lax.scan(step, start, jax.random.split(key, TEST))
    decided = goals.sum()
    return 100 * goals[0] / jnp.maximum(decided, 1), decided


def exam(key: jax.Array, strategies: jax.Array) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Returns what a policy [S, 5] does against both opponents, as `tested` tells it."""
    key_learn, key_random, key_challenge = jax.random.split(key, 3)
    rival = challenger(key_learn, strategies)
    return {
        "random": tested(key_random, strategies, jnp.full_like(strategies, 0.2)),
        "challenger": tested(key_challenge, strategies, rival),
    }


def measure(num_seeds: int) -> Findings:
    """Returns both tests of every policy, and how far minimax-Q's values are from exact."""
    exact, safe = jax.jit(minimax)()
    policies = {name: trained(name, num_seeds) for name in LEARNERS}
    tables = [policies[name][0] for name in LEARNERS]
    tables.append(jnp.broadcast_to(safe, tables[0].shape))
    names = [*LEARNERS, "exact"]
    runs = jax.random.split(jax.random.key(num_seeds), len(names) * num_seeds)
    mesh = run_mesh()
    found = sharded(exam, mesh, (0, 0))(*pad((runs, jnp.concatenate(tables)), mesh.size))
    parts = [
        np.asarray(leaf)[: len(runs)].reshape(-1, num_seeds) for leaf in jax.tree.leaves(found)
    ]
    rivals = sorted(found)
    found = {
        name: {rival: (parts[2 * r][i], parts[2 * r + 1][i]) for r, rival in enumerate(rivals)}
        for i, name in enumerate(names)
    }

    ball = int(ENV.encode(ENV.decode(jnp.argmax(ENV.start_distribution()))))
    gap = float(jnp.abs(exact[ball] - START_VALUE))
    claims = [value_claim(float(exact[ball]), gap)]
    for name in names:
        claims += test_claims(name, found[name])
    for name, expected in DISTANCE.items():
        distance = jnp.abs(policies[name][1] - exact).mean(axis=1)
        met = abs(float(distance.mean()) - expected) <= SHARE * expected
        what = f"{name}: mean distance of V to the exact values"
        claims.append(Claim(what, f"{expected}", "replicated", mean_std(distance), met))
    for name in DISTANCE:
        failed = f"{float(policies[name][2].mean()):.1e}"
        met = float(policies[name][2].mean()) <= UNSOLVED
        claims.append(Claim(f"{name}: stage games not solved", "none", "exact", failed, met))
    return Findings(claims, picture(found))


def value_claim(value: float, gap: float) -> Claim:
    """Returns whether the exact values are those found elsewhere."""
    what = "exact value of the ball at the start"
    return Claim(what, f"{START_VALUE:.6f}", "replicated", f"{value:.6f}", gap < 1e-4)


def test_claims(name: str, tests: dict) -> list[Claim]:
    """Returns a policy's lines: games won and decided, against both opponents."""
    (won, decided), (survived, duels) = tests["random"], tests["challenger"]
    mean, lines = float(np.mean(survived)), []
    against = lambda rival: f"{name} vs {rival}: % of decided games won"
    percent = partial(mean_std, digits=1)
    if name == "exact":
        low, high = RANDOM_EXACT
        met = low - POINT <= float(np.mean(won)) <= high + POINT
        lines.append(Claim(against("random"), f"{low}-{high}", "replicated", percent(won), met))
        met = mean >= 50 - 0.5  # half a point is five standard errors of a hundred runs' mean
        lines.append(Claim(against("challenger"), "at least 50", "exact", percent(survived), met))
    else:
        met = abs(float(np.mean(won)) - RANDOM[name]) <= POINT
        lines.append(Claim(against("random"), f"{RANDOM[name]}", "memory", percent(won), met))
        low, high = REPLICATED[name]
        met = low - MARGIN <= mean <= high + MARGIN
        range_ = f"{low}-{high} (paper, from memory: {CHALLENGER[name]})"
        lines.append(Claim(against("challenger"), range_, "replicated", percent(survived), met))
    low, high = RANDOM_DECIDED[name]
    met = low * (1 - DECIDED) <= float(np.mean(decided)) <= high * (1 + DECIDED)
    what = lambda rival: f"{name} vs {rival}: games decided in {TEST:,} steps"
    number = lambda games: percent(games.astype(float), digits=0)
    lines.append(Claim(what("random"), f"{low}-{high}", "replicated", number(decided), met))
    lines.append(Claim(what("challenger"), "", "replicated", number(duels), SHORTER))
    return lines


def picture(found: dict[str, dict]) -> Figure:
    """Returns every policy's games won, a dot a run; the paper's figures as rings."""
    axes = svg.grid(1, 1, 900, 380)[0]
    jitter = np.random.default_rng(0)
    for i, rival in enumerate(("random", "challenger")):
        for x, (name, tests) in enumerate(found.items()):
            won = tests[rival][0]
            place = x + 0.3 * (i - 0.5)
            label = f"against {rival}" + (" play" if not i else "") if not x else None
            axes.bar(place, np.mean(won), 0.28, color=svg.PALETTE[i], alpha=0.35, label=label)
            spots = place + jitter.uniform(-0.08, 0.08, len(won))
            axes.plot(spots, won, ".", ms=3, color=svg.PALETTE[i])
            published = (RANDOM, CHALLENGER)[i].get(name)
            if published is not None:
                axes.plot(place, published, "o", ms=7, mfc="none", mec=svg.INK)
    axes.plot([], [], "o", ms=7, mfc="none", mec=svg.INK, label="1994, from memory")
    axes.axhline(50, color=svg.INK, lw=0.6)
    axes.set_xticks(range(len(found)), [*LEARNERS, "exact minimax"])
    axes.set_title("Per cent of decided games won", pad=28)
    axes.legend(ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return svg.figure_of(axes)


STUDY = Study(
    "Soccer: minimax-Q, Q-learning, and challengers trained to beat them",
    "Littman, 1994",
    measure,
    published="one run of a million steps of learning and a million of its challenger's, tested "
    "for "
    "100,000, as remembered; and four runs of an independent replication of the same length.",
    rule="means are within a point of the paper's against random play, six points around the "
    "replication's range against challengers, a twentieth around its games, a fifth of its "
    "distances.",
)
