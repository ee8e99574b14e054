"""PD-WoLF converges by exact gradients with two actions; as a hill climber it circles like PHC.

The criterion of policy dynamics needs no equilibrium: win where the policy's movement slows down.
With exact gradients it settles in the games of two actions, as WoLF-IGA is proved to, and not in
rock-paper-scissors. Put into policy hill climbing, whose movement has a fixed length, it says
little, and the replication found it no nearer to the equilibrium than PHC: is that so here?

Banerjee & Peng, 2003, AAMAS. Its tables were not at hand: figures are an independent replication's.
"""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.repeated.engine import Config
from jaxmarl_core.algos.repeated.gradient import iga, pd_wolf_iga
from jaxmarl_core.algos.tabular.pd_wolf import pd_wolf
from jaxmarl_core.algos.tabular.wolf_phc import Config as PolicyConfig
from jaxmarl_core.algos.tabular.wolf_phc import phc, wolf_phc
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.experiments.study import Claim, Findings, Study, mean_std, over_seeds
from jaxmarl_core.report import svg

NUM_GRADIENTS, NUM_PLAYS = 20_000, 300_000
GRADIENTS = {"pd_wolf_iga": pd_wolf_iga, "iga": iga}
CLIMBERS = {"wolf_phc": wolf_phc, "phc": phc, "pd_wolf": pd_wolf}
# game -> replicated final distance of PD-WoLF by exact gradients, and the most that counts as
# convergence here: the step is finite, and the replication's was of another length
REPLICATED = {
    "matching_pennies": (1e-6, 1e-3),
    "tricky": (5e-4, 5e-3),
    "rock_paper_scissors": (0.084, None),
}
CIRCLES = 0.05  # IGA's mean distance at least: it circles, or ends in a corner
# A replication of a million plays: final distances of PHC, and of PD-WoLF, which behaved like it.
# All runs of WoLF-PHC were within NEAR, and means of the others may be off by as much.
CLIMBED, NEAR = 0.495, 0.1


def distance(algorithm, env, field: str, num_steps: int, num_seeds: int, **hparams) -> jax.Array:
    """Returns [num_seeds] f32: how far a strategy's probabilities are from 1 / A at most."""

    def keep(state, metrics):
        return jnp.stack([getattr(t, field)[0, 0] for t in state.params.tables.values()])

    x = over_seeds(algorithm, env, num_steps, num_seeds, keep, **hparams)  # [R, 2, A]
    return jnp.abs(x - 1 / x.shape[-1]).max(axis=(1, 2))


def measure(num_seeds: int) -> Findings:
    """Returns final distances from the equilibrium, by exact gradients and by climbing."""
    claims, found, climbed = [], {}, {}
    for game, (replicated, most) in REPLICATED.items():
        env = matrix_game(game, num_rounds=None)
        for name, build in GRADIENTS.items():
            algorithm = build(env, Config(1000))
            far = distance(algorithm, env, "x", NUM_GRADIENTS, num_seeds, step_size=1e-3)
            found[game, name] = far
            met, published, origin = bool(far.mean() > CIRCLES), "does not converge", "claim"
            if name == "pd_wolf_iga":
                origin = "replicated"
                met = bool((far <= most).all()) if most else bool(far.mean() > replicated / 2)
                published = f"{replicated:g}" + ("" if most else ", not converging")
            what = f"{game.replace('_', ' ')}, `{name}`: distance"
            claims.append(Claim(what, published, origin, mean_std(far, 4), met))
    env = matrix_game("matching_pennies", num_rounds=None)
    for name, build in CLIMBERS.items():
        algorithm = build(env, PolicyConfig(1000, start="random"))
        climbed[name] = distance(algorithm, env, "pi", NUM_PLAYS, num_seeds, gamma=0.0)
    for name, far in climbed.items():
        if name == "wolf_phc":
            met, published = bool((far < NEAR).all()), f"0.011, all below {NEAR}"
        else:
            met = abs(float(far.mean()) - CLIMBED) <= NEAR
            published = f"{CLIMBED}"
        what = f"matching pennies, `{name}`: distance"
        claims.append(Claim(what, published, "replicated", mean_std(far, 4), met))
    return Findings(claims, picture(found, climbed))


def picture(found, climbed) -> Figure:
    """Returns the runs of each learner, in the order of their distance."""
    axes = svg.grid(4, 4, 1080, 300)
    fraction = lambda x: (np.arange(len(x)) + 0.5) / len(x)
    panels = [
        (f"{game.replace('_', ' ')}, gradients", {n: found[game, n] for n in GRADIENTS})
        for game in REPLICATED
    ]
    panels.append(("matching pennies, climbing", climbed))
    for panel, (title, learners) in zip(axes, panels):
        for colour, (name, far) in zip(svg.PALETTE, learners.items()):
            runs = np.sort(np.asarray(far))
            panel.plot(runs, fraction(runs), color=colour, label=name, lw=2)
        panel.set_title(title, fontsize=11)
        panel.set_xlabel("distance")
        panel.set_ylim(0, 1.02)
        panel.legend(frameon=False, fontsize=10)
    axes[0].set_ylabel("share of runs within it")
    return svg.figure_of(axes[0])


STUDY = Study(
    "PD-WoLF: winning is slowing down",
    "Banerjee & Peng, 2003, AAMAS",
    measure,
    published="figures of an independent replication of 20,000 exact gradients and of a million "
    "plays; the paper's were not at hand. Here 300,000 plays.",
    rule="with two actions every run converges to 0.001 (pennies) or 0.005, with three the mean "
    "is at "
    "least half as far as theirs; climbers end as far from the equilibrium, to 0.1.",
)
