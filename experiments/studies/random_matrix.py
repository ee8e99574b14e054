"""Games drawn at random, two to five players: QTRAN's joint value is the game's, to 2 percent.

Payoffs are uniform in [-10, 10], one for each joint action, and a team shares them. Such a game has
no structure that a mixer could use. The joint network is to know every entry, and the agents are to
pick the best one by themselves.

After Son et al., 2019, arXiv:1905.05408, which plays random matrix games of two players.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core import hparams as hp
from jaxmarl_core.algos.value_factorisation import qtran_losses
from jaxmarl_core.algos.value_factorisation.options import Config
from jaxmarl_core.algos.value_factorisation.qtran import qtran
from jaxmarl_core.algos.value_factorisation.tables import joint_tables
from jaxmarl_core.envs.matrix_games import from_payoffs
from jaxmarl_core.experiments.study import Claim, Findings, Study, percentage
from jaxmarl_core.report import svg
from jaxmarl_core.sweeps.batch import sweep
from jaxmarl_core.train import Schedule, make_train

GAMES = {2: 5, 3: 3, 4: 2, 5: 2}  # players -> actions of each: 25, 27, 16 and 32 joint actions
NUM_UPDATES, LARGEST = 2000, 10.0
CONFIG = Config(
    num_envs=8,
    rollout_length=1,
    batch_size=32,
    capacity=4096,
    hidden=(32,),
    memory_size=0,
    last_action=False,
    embed=64,
)
NUMBERS = {"gamma": 0.0, "final_epsilon": 1.0, "learning_rate": 3e-3, "anneal_updates": NUM_UPDATES}
CLOSE = 0.02  # of the range of the payoffs
SETTLED = 0.9  # of the games: a theorem about losses of 0, which no run of gradient steps reaches


def learnt(num_agents: int, num_seeds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (games, joint tables, both [R, A, ..., A], the joint actions taken [R, N])."""
    shape = (num_agents,) + (GAMES[num_agents],) * num_agents
    blank = from_payoffs(np.zeros(shape), num_rounds=None)

    def run(key, row):
        key_game, key_train = jax.random.split(key)
        table = jax.random.uniform(key_game, shape[1:], minval=-LARGEST, maxval=LARGEST)
        env = dataclasses.replace(blank, payoffs=jnp.broadcast_to(table, shape))
        algorithm = qtran(env, CONFIG)
        train, _ = make_train(algorithm, env, Schedule(NUM_UPDATES))
        state, _ = train(key_train, row)
        timestep = env.reset(key_game)[1]
        joint, _, q = joint_tables(qtran_losses.base, env, CONFIG, state.params, timestep)
        return table, joint, q.argmax(-1)

    keys = jax.random.split(jax.random.key(num_agents), num_seeds)
    row = hp.table(qtran(blank, CONFIG).hparams.replace(**NUMBERS))
    games, joint, taken = (np.asarray(leaf[0]) for leaf in sweep(run, keys, row))
    return games, joint, taken


def measure(num_seeds: int) -> Findings:
    """Returns, by number of players, how far the joint value is off, and what is picked."""
    claims, errors = [], {}
    each = -(-num_seeds // len(GAMES))
    for num_agents, num_actions in GAMES.items():
        games, joint, actions = learnt(num_agents, each)
        error = abs(joint - games).reshape(each, -1)
        errors[num_agents] = error
        players = f"{num_agents} players, {num_actions} actions"
        mean, worst = error.mean() / (2 * LARGEST), error.max() / (2 * LARGEST)
        claims.append(
            Claim(
                f"{players}: Q_jt of all joint actions of all games off by at most",
                f"{100 * CLOSE:.0f} %",
                "claim",
                f"{100 * worst:.2f} % (mean {100 * mean:.2f} %)",
                worst <= CLOSE,
            )
        )
        best = joint.reshape(each, -1).max(1)
        picked = np.array([table[tuple(action)] for table, action in zip(joint, actions)])
        claims.append(
            Claim(
                f"{players}: agents pick what is best by Q_jt",
                "always, where all losses are 0 (theorem 1)",
                "paper",
                percentage(jnp.asarray(picked >= best - 1e-6)),
                bool((picked >= best - 1e-6).mean() >= SETTLED),
            )
        )
    return Findings(claims, picture(errors))


def picture(errors: dict[int, np.ndarray]) -> Figure:
    """Returns how errors are distributed over joint actions and games, by number of players."""
    axes = svg.grid(1, 1, 1080, 380)[0]
    for colour, (num_agents, error) in zip(svg.PALETTE, errors.items()):
        ordered = np.sort(error.ravel()) / (2 * LARGEST)
        part = np.linspace(0, 1, len(ordered))
        axes.plot(100 * ordered, 100 * part, color=colour, label=f"{num_agents} players")
    axes.axvline(100 * CLOSE, color=svg.MUTED, lw=1)
    axes.set_xscale("log")
    axes.set(
        xlabel="error of the joint value, percent of the payoffs' range",
        title="Share of joint actions whose value is known so well, percent",
    )
    axes.legend(frameon=False, loc="upper left")
    return svg.figure_of(axes)


STUDY = Study(
    "Random matrix games of two to five players",
    "after Son et al., 2019 (QTRAN)",
    measure,
    published="a theorem, and random matrix games of two players. Here 2,000 updates.",
    rule=f"all joint values are within {100 * CLOSE:.0f} % of the payoffs' range, and in nine "
    "games of "
    "ten the agents pick what is best by them.",
)
