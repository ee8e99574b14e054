"""EXORL: a best response to who stands still, an equilibrium against itself.

Three games whose only equilibrium is mixed, 5,000 rounds. In self-play: how far do strategies end
from it? Against an opponent who draws from a strategy of its own, another one in every run: what
does the learnt strategy lose against a best response? Up to sigma times the other's regret it may,
which is why a smaller sigma loses less. Opponent-modelling Q-learning, whose best responses are
pure, stands beside it.

Suematsu & Hayashi, 2002, AAMAS; the paper's two claims, its figures were not at hand.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.repeated.cross_play import by_player, stationary
from jaxmarl_core.algos.tabular import exorl, opponent_modelling_q
from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.experiments.study import Claim, Findings, Study, mean_std, over_seeds
from jaxmarl_core.functional.projections import action_payoffs
from jaxmarl_core.report import svg

NUM_ROUNDS = 5_000
GAMES = ("matching_pennies", "tricky", "rock_paper_scissors")
LEARNERS = {
    "exorl": (exorl.rule, exorl.HPARAMS),
    "opponent_modelling_q": (opponent_modelling_q.rule, opponent_modelling_q.HPARAMS),
}
OPTIONS: dict[str, Any] = {"gamma": 0.0, "final_epsilon": 0.1, "anneal_steps": 1000.0}
NEAR = 0.01  # of the equilibrium, in every run
SIGMAS = (0.1, 0.01)
# What x may lose to a best response x': at its own optimum sigma times what the other's regret
# differs between x and x', which is at most the range of the other's payoffs;
SPREAD = {"matching_pennies": 2.0, "tricky": 3.0, "rock_paper_scissors": 2.0}
ESTIMATE = 0.06  # and three standard errors of a share after 5,000 draws, 0.02, times 3


def learner(name: str, env, opponent=None):
    """Returns the algorithm: the learner against itself, or as player 0 against an opponent."""
    rule, hparams = LEARNERS[name]
    rule = partial(rule, rate="visits")
    rules = rule if opponent is None else by_player(rule, opponent)
    return tabular(env, Config(500), rules, hparams)


def strategy(name: str, row) -> jax.Array:
    """Returns how the owner of a row plays when it does not explore, [A] f32."""
    if name == "exorl":
        return row.stage.strategy
    worth = action_payoffs(row.values.q, row.beliefs, 0)
    return jax.nn.one_hot(jnp.argmax(worth), len(worth))


def row_of(state, player: int):
    """Returns the only row of a player's table."""
    return jax.tree.map(lambda x: x[0, 0], list(state.params.tables.values())[player])


def self_play(game: str, num_seeds: int) -> jax.Array:
    """Returns [num_seeds] f32: how far EXORL's strategies are from uniform, the equilibrium."""
    env = matrix_game(game, num_rounds=None)

    def keep(state, metrics):
        return jnp.stack([strategy("exorl", row_of(state, i)) for i in range(2)])

    x = over_seeds(learner("exorl", env), env, NUM_ROUNDS, num_seeds, keep, **OPTIONS)
    return jnp.abs(x - 1 / x.shape[-1]).max(axis=(1, 2))


def lost(name: str, game: str, num_seeds: int, **hparams: float) -> jax.Array:
    """Returns [num_seeds] f32: what is lost against a best response to a stationary opponent."""
    env = matrix_game(game, num_rounds=None)

    def keep(state, metrics):
        return strategy(name, row_of(state, 0)), row_of(state, 1)

    algorithm = learner(name, env, stationary())
    options: dict[str, Any] = OPTIONS | hparams
    x, y = over_seeds(algorithm, env, NUM_ROUNDS, num_seeds, keep, **options)
    worth = jnp.einsum("ab,rb->ra", env.payoffs[0], y)
    return worth.max(axis=1) - (worth * x).sum(axis=1)


def measure(num_seeds: int) -> Findings:
    """Returns distances from equilibrium in self-play, and losses against who stands still."""
    claims, distances, losses = [], {}, {}
    for game in GAMES:
        title = game.replace("_", " ")
        far = distances[game] = self_play(game, num_seeds)
        met = bool((far < NEAR).all())
        claims.append(
            Claim(f"{title}, self-play: distance", "equilibrium", "claim", mean_std(far, 4), met)
        )
        for sigma in SIGMAS:
            loss = losses[game, f"exorl, sigma {sigma}"] = lost(
                "exorl", game, num_seeds, sigma=sigma
            )
            most = sigma * SPREAD[game] + ESTIMATE
            what = f"{title}, stationary, sigma {sigma}: most that is lost"
            claims.append(
                Claim(
                    what,
                    f"at most {most:.2f}",
                    "exact",
                    f"{float(loss.max()):.3f}",
                    bool((loss <= most).all()),
                )
            )
        loss = losses[game, "opponent modelling"] = lost("opponent_modelling_q", game, num_seeds)
        # a best response but for its estimate: sigma is 0
        what = f"{title}, stationary, `opponent_modelling_q`: most that is lost"
        met = bool((loss <= ESTIMATE).all())
        wanted = f"at most {ESTIMATE}"
        claims.append(Claim(what, wanted, "exact", f"{float(loss.max()):.3f}", met))
    return Findings(claims, picture(distances, losses))


def picture(distances, losses) -> Figure:
    """Returns the runs in the order of their loss, game by game."""
    axes = svg.grid(len(GAMES), len(GAMES), 1080, 320)
    for panel, game in zip(axes, GAMES):
        rows = {name: loss for (where, name), loss in losses.items() if where == game}
        rows["exorl, self-play: distance"] = distances[game]
        for colour, (name, values) in zip(svg.PALETTE, rows.items()):
            runs = np.sort(np.asarray(values))
            panel.plot(
                runs, (np.arange(len(runs)) + 0.5) / len(runs), color=colour, label=name, lw=2
            )
        panel.set_title(game.replace("_", " "))
        panel.set_xlabel("loss against a stationary opponent")
        panel.set_xlim(-0.005, 0.2)
        panel.set_ylim(0, 1.02)
    axes[0].set_ylabel("share of runs within it")
    axes[-1].legend(frameon=False, fontsize=10, loc="lower right")
    return svg.figure_of(axes[0])


STUDY = Study(
    "EXORL: a best response to others, an equilibrium against itself",
    "Suematsu & Hayashi, 2002, AAMAS",
    measure,
    published="the two claims; budgets and runs were not at hand. Here 5,000 rounds.",
    rule=f"every run ends within {NEAR} of the equilibrium, or loses no more than sigma and the "
    "error of 5,000 draws allow.",
)
