"""QMIX's two-step game: VDN takes the safe 7, QMIX trusts its mate for 8.

Agent 0 chooses which table both play next: one pays 7 whatever they do, the other 0, 1, 1 or 8. All
learn from play at random, with gamma 0.99. A sum fits the second table by -1.5, 2.5, 2.5, 6.5 and
so thinks it worth less than 7; a monotone mixture fits it exactly.

Rashid et al., 2018, arXiv:1803.11485, section 6.1 and table 2.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.value_factorisation.factorisation import Factorise, with_mixer
from jaxmarl_core.algos.value_factorisation.options import Config
from jaxmarl_core.algos.value_factorisation.qmix import monotone, qmix
from jaxmarl_core.algos.value_factorisation.tables import joint_tables
from jaxmarl_core.algos.value_factorisation.vdn import additive_mixer, vdn
from jaxmarl_core.envs import two_step_game
from jaxmarl_core.envs.matrix_games.two_step_game import FIRST, RISKY, SAFE
from jaxmarl_core.experiments.study import Claim, Findings, Study, over_seeds, percentage
from jaxmarl_core.report import svg
from jaxmarl_core.types import Algorithm

NUM_UPDATES, GAMMA = 3000, 0.99  # 24,000 episodes
SHAPE: dict[str, Any] = {
    "num_envs": 8,
    "rollout_length": 3,  # an episode, its final observation included
    "batch_size": 16,
    "capacity": 1024,
    "hidden": (32,),
    "memory_size": 0,
    "last_action": False,
}
NUMBERS: dict[str, Any] = {
    "gamma": GAMMA,
    "final_epsilon": 1.0,
    "learning_rate": 3e-3,
    "anneal_updates": NUM_UPDATES,
    "target_period": 50.0,
}
NODES = {"first step": FIRST, "safe table": SAFE, "risky table": RISKY}


class Learner(NamedTuple):
    build: Callable[..., Algorithm]
    factorise: Factorise
    config: Config
    value: float  # of an episode played greedily
    tables: np.ndarray  # [3, 2, 2], by node: what it can say at best
    paper: np.ndarray  # [3, 2, 2], table 2 of the paper, as remembered


ONES = np.ones((2, 2))
FIT = np.array([[-1.5, 2.5], [2.5, 6.5]])  # least squares of a sum
RISK = np.array([[0.0, 1.0], [1.0, 8.0]])
first_step = lambda risky: GAMMA * np.array([[7.0, 7.0], [risky, risky]])
LEARNERS = {
    "vdn": Learner(
        vdn,
        with_mixer(additive_mixer),
        Config(**SHAPE),
        7.0,
        np.stack([first_step(6.5), 7 * ONES, FIT]),
        np.array(
            [
                [[6.94, 6.94], [6.35, 6.36]],
                [[6.99, 7.02], [6.99, 7.02]],
                [[-1.87, 2.31], [2.33, 6.51]],
            ]
        ),
    ),
    "qmix": Learner(
        qmix,
        with_mixer(monotone),
        Config(**SHAPE, embed=32, hypernet=64),
        8.0,
        np.stack([first_step(8.0), 7 * ONES, RISK]),
        np.array(
            [
                [[6.93, 6.93], [7.92, 7.92]],
                [[7.00, 7.00], [7.00, 7.00]],
                [[0.00, 1.00], [1.00, 8.00]],
            ]
        ),
    ),
}
# The paper's tables are of one run: VDN's, which never settles, are off its best fit by up to 0.37.
TOLERANCE, PAPERS = 0.15, {"vdn": 0.5, "qmix": 0.15}


def learnt(name: str, num_seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (value of an episode [R], joint tables by node [R, 3, 2, 2])."""
    learner, env = LEARNERS[name], two_step_game()
    algorithm = learner.build(env, learner.config)
    steps = [env.observe(env.decode(jnp.int32(node))) for node in NODES.values()]

    def tables(state, metrics):
        of = lambda step: joint_tables(learner.factorise, env, learner.config, state.params, step)
        found = [of(step) for step in steps]
        return jnp.stack([joint for joint, *_ in found]), jnp.stack([q for *_, q in found])

    num_steps = NUM_UPDATES * algorithm.env_steps
    joint, utilities = over_seeds(algorithm, env, num_steps, num_seeds, tables, **NUMBERS)
    actions = np.asarray(utilities).argmax(-1)  # [R, node, agent]
    value = np.where(actions[:, 0, 0] == 0, 7.0, RISK[actions[:, 2, 0], actions[:, 2, 1]])
    return value, np.asarray(joint)


def number(x: float) -> str:
    """Returns a value as it is written in a table; 0 has no sign."""
    return f"{round(float(x), 2) + 0:.2f}"


def measure(num_seeds: int) -> Findings:
    """Returns what each learner is paid, and its mean tables beside the paper's."""
    claims, panels = [], {}
    for name, learner in LEARNERS.items():
        value, joint = learnt(name, num_seeds)
        hits = value == learner.value
        said = f"`{name}` is paid {learner.value:.0f}"
        claims.append(Claim(said, "always", "paper", percentage(hits), hits.all()))
        mean = joint.mean(0)
        off = abs(mean - learner.tables).max()
        said = f"`{name}`'s tables are the best of its class, at most off by"
        claims.append(Claim(said, f"{TOLERANCE}", "exact", f"{off:.2f}", off <= TOLERANCE))
        for i, node in enumerate(NODES):
            numbers = lambda table: ", ".join(map(number, table.ravel()))
            off = abs(mean[i] - learner.paper[i]).max()
            claims.append(
                Claim(
                    f"`{name}`, {node}",
                    numbers(learner.paper[i]),
                    "memory",
                    numbers(mean[i]),
                    off <= PAPERS[name],
                )
            )
            panels[f"{name}, {node}"] = mean[i]
    return Findings(claims, picture(panels))


def picture(panels: dict[str, np.ndarray]) -> Figure:
    """Returns the mean joint tables: agent 0's actions downwards, agent 1's across."""
    axes = svg.grid(len(panels), 3, 900, 230)
    for ax, (title, table) in zip(axes, panels.items()):
        ax.imshow(table, cmap="Blues", vmin=-3, vmax=12, aspect="auto")
        for (row, column), value in np.ndenumerate(table):
            ax.text(column, row, number(value), ha="center", va="center", color=svg.INK)
        ax.set(title=title, xticks=[], yticks=[])
        ax.grid(False)
    return svg.figure_of(axes[0])


STUDY = Study(
    "The two-step game of QMIX",
    "Rashid et al., 2018 (QMIX), section 6.1",
    measure,
    published="tables of one run under full exploration, as remembered. Here 24,000 episodes.",
    rule=f"every run is paid so; mean tables are within {TOLERANCE} of the exact fit, and within "
    f"{PAPERS['vdn']} (VDN) or {PAPERS['qmix']} of the paper's.",
)
