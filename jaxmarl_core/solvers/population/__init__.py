"""Solvers that grow populations: double oracle, PSRO, and their meta-solvers.

`psro` is the loop over any strategies and any oracle; `from_payoffs` and `from_cards` bring exact
ones. Oracles that train an algorithm are in `play.psro`.
"""

from jaxmarl_core.solvers.population.exact_games import ExactGame, from_cards, from_payoffs
from jaxmarl_core.solvers.population.loop import Mixture, Population, double_oracle, psro
from jaxmarl_core.solvers.population.meta_solvers import (
    META_SOLVERS,
    meta_strategies,
    projected_replicator_dynamics,
)

__all__ = [
    "META_SOLVERS",
    "ExactGame",
    "Mixture",
    "Population",
    "double_oracle",
    "from_cards",
    "from_payoffs",
    "meta_strategies",
    "projected_replicator_dynamics",
    "psro",
]
