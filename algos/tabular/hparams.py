"""The numbers of tabular learners: what all have, and what only some recipes give a value.

A recipe says in one line which it has: `HPARAMS = Hparams(learning_rate=1.0, first_value=0.0)`.
Those that are None are no numbers of that learner: no leaf, and nothing to sweep.
"""

from flax import struct

from jaxmarl_core.hparams import hparam


@struct.dataclass
class Hparams:
    """Traced numbers; epsilon falls linearly over the first `anneal_steps`."""

    learning_rate: float | None = hparam(0.1, 0.0, 1.0, "log")
    rate_period: float | None = hparam(1e5, 1.0, 1e12, "log")  # steps; see rates.py
    gamma: float = hparam(0.9, 0.0, 1.0)
    epsilon: float = hparam(1.0, 0.0, 1.0)
    final_epsilon: float = hparam(0.05, 0.0, 1.0)
    anneal_steps: float = hparam(3000.0, 1.0, 1e12, "log")
    first_value: float | None = hparam(None, -1e9, 1e9)  # of every (joint) action

    # hysteretic_q
    pessimism: float | None = hparam(None, 0.0, 1.0)  # beta / alpha: times the rate, below Q

    # lenient_q
    hottest: float | None = hparam(None, 0.0, 1e9, "log")  # temperature of an action never tried
    cooling: float | None = hparam(None, 0.0, 1.0)  # factor at each try
    leniency: float | None = hparam(None, 1e-9, 1e9, "log")
    # theta: a target below Q counts with probability 1 - e^(-1 / (theta T))
    diffusion: float | None = hparam(None, 0.0, 1.0)  # tau: share of the next state's mean

    # policy hill climbing: phc, wolf_phc, pd_wolf
    win_step: float | None = hparam(None, 0.0, 1.0, "log")
    step_period: float | None = hparam(None, 1.0, 1e12, "log")  # see rates.py
    lose_ratio: float | None = hparam(None, 1.0, 1e6, "log")  # a losing step over a winning one

    # beliefs about the others: opponent_modelling_q, nscp, exorl
    prior: float | None = hparam(None, 1e-9, 1e9, "log")  # imagined plays of each action (Laplace)
    forgetting: float | None = hparam(None, 0.0, 1.0)  # w of models.recency_weighted
    sigma: float | None = hparam(None, 0.0, 1e3, "log")  # own payoff for one of the other's regret

    # oal, in units of return: slack (1 + n)^-slack_power, n being the tries of the joint action
    # tried least in the state
    slack: float | None = hparam(None, 0.0, 1e9, "log")
    slack_power: float | None = hparam(None, 0.0, 0.5)
