"""WoLF-IGA converges in games of two actions each, where IGA circles; not in roshambo.

20,000 rounds from anywhere, winning steps 0.001 in the paper's units and losing ones twice as long:
how far are both strategies from the only equilibrium?

Bowling & Veloso, 2002, Artificial Intelligence 136.
"""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.repeated.engine import Config as EngineConfig
from jaxmarl_core.algos.repeated.engine import entries
from jaxmarl_core.algos.repeated.gradient import iga
from jaxmarl_core.algos.repeated.wolf_iga import Config, wolf_iga
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.experiments.study import Claim, Findings, Study, over_time
from jaxmarl_core.report import svg

NUM_ROUNDS, SAMPLE = 20_000, 100
STEP = 2e-3  # of the gradient's projection, half the paper's unit with two actions
# game: distance from the equilibrium after 20,000 rounds of an independent replication, whose
# starts and steps we know in part (a losing step of twice the winning one)
REPLICATED = {"matching_pennies": 0.0, "tricky": 0.0006, "rock_paper_scissors": 0.21}
NEAR = 0.02  # a winning step moves by less than a tenth of it
FAR = 0.05
CIRCLES = {  # IGA: in pennies it was replicated how far; it has no reason to settle elsewhere
    "matching_pennies": ("0.25: circles", "replicated"),
    "tricky": ("circles", "claim"),
    "rock_paper_scissors": ("does not converge", "claim"),
}


def distances(name: str, learner: str, num_seeds: int) -> tuple[jax.Array, jax.Array]:
    """Returns the distance [seeds] at the end, and paths [seeds, points, 2, A]."""
    env = matrix_game(name, num_rounds=None)
    algorithm = (
        wolf_iga(env, Config(SAMPLE)) if learner == "wolf" else iga(env, EngineConfig(SAMPLE))
    )
    keep = lambda state: jnp.stack([row.x for row in entries(state)])
    path = over_time(algorithm, NUM_ROUNDS, num_seeds, keep, step_size=STEP)
    last = path[:, -SAMPLE // 2 :]  # the last quarter: a circle passes by anywhere
    return jnp.abs(last - 1 / path.shape[-1]).max((-2, -1)).mean(1), path


def measure(num_seeds: int) -> Findings:
    """Returns how far from the equilibrium both learners stay, game by game."""
    claims, drawn = [], {}
    for name, wanted in REPLICATED.items():
        title = name.replace("_", " ")
        for learner in ("wolf", "iga"):
            found, path = distances(name, learner, num_seeds)
            drawn[name, learner] = np.asarray(path[0])
            measured = f"{float(jnp.median(found)):.4f}, at most {float(found.max()):.4f}"
            middle = float(jnp.median(found))
            if learner == "wolf":
                converges = name != "rock_paper_scissors"
                met = middle < NEAR if converges else middle > FAR
                published = f"{wanted}" if converges else f"{wanted}: does not converge"
                claims.append(Claim(f"{title}, WoLF-IGA", published, "replicated", measured, met))
            else:
                figure, origin = CIRCLES[name]
                claims.append(Claim(f"{title}, IGA", figure, origin, measured, middle > FAR))
    return Findings(claims, picture(drawn))


def picture(drawn: dict[tuple[str, str], np.ndarray]) -> Figure:
    """Returns both learners' paths from the same start, game by game."""
    panels = svg.grid(len(REPLICATED), len(REPLICATED), 1080, 360)
    for axes, name in zip(panels, REPLICATED):
        for learner, colour in (("iga", svg.PALETTE[5]), ("wolf", svg.BLUE)):
            path = drawn[name, learner]
            label = {"iga": "IGA", "wolf": "WoLF-IGA"}[learner]
            axes.plot(path[:, 0, 0], path[:, 1, 0], color=colour, lw=1, label=label)
        fair = 1 / path.shape[-1]
        axes.plot(fair, fair, "+", color=svg.INK, ms=10)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=name.replace("_", " "))
        axes.set_xlabel("P(first action), row")
        axes.set_ylabel("column")
        axes.set_aspect("equal")
    panels[0].legend(frameon=False, loc="upper right")
    return svg.figure_of(panels[0])


STUDY = Study(
    "WoLF-IGA converges with two actions each",
    "Bowling & Veloso, 2002",
    measure,
    published="a theorem; figures of an independent replication of 20,000 exact gradients.",
    rule=f"the median run is within {NEAR} of the equilibrium in the last quarter, or further than "
    f"{FAR} where it does not converge.",
)
