"""Which teams find the optimum: Distributed-Q and OAL do, independent Q-learners do not.

Two games of one state punish whoever goes to the optimum alone, the climbing game and the penalty
game. Three worlds have several states: the climbing game three times over, by players who remember
the last round; QMIX's two-step game, whose safe table pays 7 whatever one does and whose risky one
8 to two who trust each other; and a meeting of two robots in a room of 3 x 3. Is what the greedy
team earns in an episode the best there is, by planning? Both papers prove that they get there:
Distributed-Q where the world is deterministic, OAL in every team game; and so does Team-Q, which
needs a convention to agree, as one Q-learner. Beside them stands the climbing game whose middle
pays 14 or 0 by a coin: Distributed-Q's optimism was not made for that, and is misled.

Lauer & Riedmiller, 2000, ICML; Wang & Sandholm, 2002, NIPS; Claus & Boutilier, 1998, AAAI.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.tabular.distributed_q import distributed_q
from jaxmarl_core.algos.tabular.engine import Config
from jaxmarl_core.algos.tabular.oal import Config as OalConfig
from jaxmarl_core.algos.tabular.oal import oal
from jaxmarl_core.algos.tabular.q_learning import q_learning
from jaxmarl_core.algos.tabular.team_q import team_q
from jaxmarl_core.envs import matrix_game, rendezvous, two_step_game
from jaxmarl_core.experiments.study import Claim, Findings, Study, over_seeds, percentage
from jaxmarl_core.report import svg
from jaxmarl_core.solvers.markov_games import backup, expected_reward, markov_game

NUM_STEPS, GAMMA, MAX_STEPS = 20_000, 0.9, 20
EXPLORING: dict[str, Any] = {"gamma": GAMMA, "epsilon": 1.0, "anneal_steps": 16_000.0}
TEAM_RATE = {"final_epsilon": 0.02, "learning_rate": 0.1}
LEARNERS = {
    "q_learning": (partial(q_learning, config=Config(100)), {"final_epsilon": 0.02}),
    # a constant rate: a sample mean would for long remember what the next state was worth at first
    "team_q": (partial(team_q, config=Config(100, rate="constant")), TEAM_RATE),
    "distributed_q": (partial(distributed_q, config=Config(100)), {"final_epsilon": 0.02}),
    "oal": (partial(oal, config=OalConfig(10)), {"final_epsilon": 0.0}),
}
WORLDS = {
    "climbing": lambda: matrix_game("climbing"),
    "penalty -100": lambda: matrix_game("penalty", penalty=-100.0),
    "climbing, 3 rounds": lambda: matrix_game("climbing", num_rounds=3, memory=True),
    "two-step game": two_step_game,
    "meeting, 3 x 3": lambda: rendezvous(rows=3, columns=3, max_steps=MAX_STEPS),
    "climbing, a coin": lambda: matrix_game("partially_stochastic_climbing"),
}
PROVED = {  # learner -> worlds in which its paper proves that it finds the optimum
    "distributed_q": set(WORLDS) - {"climbing, a coin"},
    "oal": set(WORLDS),
    "team_q": set(WORLDS),  # as one Q-learner with many hands does; Littman, 2001
}
UNPROVED = "nothing is claimed of independent learners where the optimum is safe"
REPLICATED = {("climbing, a coin", "distributed_q"): 0.0}  # share, by a replication of 1,000 runs
MISSED = ("climbing", "penalty -100", "climbing, 3 rounds", "climbing, a coin")
# worlds whose optimum punishes who goes there alone: independent learners mostly miss it
SURE = 0.95  # share of runs: what is proved is of the limit, and these runs end


def best_return(env) -> tuple[float, jax.Array]:
    """Returns the best discounted return of an episode, and mean rewards [S, A_1, A_2]."""
    game = markov_game(env)
    value = jnp.zeros(game.num_states)
    legal = game.legal[0][:, :, None] & game.legal[1][:, None]
    for _ in range(MAX_STEPS):
        q = backup(game, jnp.stack([value, value]), GAMMA)[0]
        value = jnp.where(game.terminal, 0.0, jnp.where(legal, q, -jnp.inf).max(axis=(1, 2)))
    return float(game.start @ value), expected_reward(game)[0]


def optimal(learner: str, world: str, num_seeds: int) -> jax.Array:
    """Returns [num_seeds] bool: whether a greedy episode is worth as much as the best one.

    Rewards are counted by their means, so that luck does not count.
    """
    env = WORLDS[world]()
    best, mean_reward = best_return(env)
    build, hparams = LEARNERS[learner]
    algorithm = build(env)
    hparams: dict[str, Any] = EXPLORING | hparams
    if learner == "distributed_q":  # what play is worth at least
        hparams = hparams | {"first_value": min(0.0, float(mean_reward.min()) / (1 - GAMMA))}

    def keep(state, metrics):
        key_reset, key_play = jax.random.split(jax.random.key(0))
        world_state, timestep = env.reset(key_reset)

        def step(carry, inputs):
            (world_state, timestep, going), (key, t) = carry, inputs
            key_act, key_step = jax.random.split(key)
            actions, _ = algorithm.policy.greedy(state.params, key_act, timestep, ())
            joint = jnp.concatenate([actions[name] for name in env.groups])
            reward = mean_reward[env.encode(world_state), joint[0], joint[1]]
            world_state, timestep = env.step(key_step, world_state, actions)
            return (world_state, timestep, going & ~timestep.last), going * GAMMA**t * reward

        inputs = jax.random.split(key_play, MAX_STEPS), jnp.arange(float(MAX_STEPS))
        start = world_state, timestep, jnp.bool_(True)
        return jax.lax.scan(step, start, inputs)[1].sum()

    earned = over_seeds(algorithm, env, NUM_STEPS, num_seeds, keep, **hparams)
    return earned >= best - 1e-3 * abs(best)


def measure(num_seeds: int) -> Findings:
    """Returns every learner's share of runs that end on the optimum, world by world."""
    claims, found = [], {}
    for world in WORLDS:
        for learner in LEARNERS:
            hits = optimal(learner, world, num_seeds)
            part = found[world, learner] = float(hits.mean())
            published, origin, met = "", "claim", UNPROVED
            if learner == "q_learning" and world in MISSED:
                published, met = "mostly misses it", part < 0.5
            if world in PROVED.get(learner, ()):
                published, met = "100 % in the limit", part >= SURE
            if (world, learner) in REPLICATED:
                wanted = REPLICATED[world, learner]
                published, origin = f"{100 * wanted:.0f} %", "replicated"
                met = abs(part - wanted) <= 1 - SURE
            claims.append(Claim(f"{world}, `{learner}`", published, origin, percentage(hits), met))
    return Findings(claims, picture(found))


def picture(found: dict[tuple[str, str], float]) -> Figure:
    """Returns bars of the shares."""
    axes = svg.grid(1, 1, 1080, 340)[0]
    x = np.arange(len(WORLDS))
    for i, learner in enumerate(LEARNERS):
        shares = [found[world, learner] for world in WORLDS]
        axes.bar(x + 0.2 * (i - 1.5), shares, 0.18, color=svg.PALETTE[i], label=learner)
    axes.set_xticks(x, list(WORLDS))
    axes.set_ylim(0, 1.02)
    axes.set_title("Share of runs that end on the optimum", pad=28)
    axes.legend(ncols=4, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return svg.figure_of(axes)


STUDY = Study(
    "Teams that find the optimum",
    "Lauer & Riedmiller, 2000, ICML; Wang & Sandholm, 2002, NIPS",
    measure,
    published="theorems about the limit. Here 20,000 steps.",
    rule=f"at least {100 * SURE:.0f} % of the runs earn what planning does, where that is proved; "
    "fewer than half, where independent learners are said to miss it.",
)
