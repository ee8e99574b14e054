"""Two-player zero-sum games in extensive form, and counterfactual regret minimisation.

`poker` and its relatives as arrays over cards; `from_tree` for any small game of one's own.
"""

from jaxmarl_core.solvers.extensive_form.best_responses import (
    best_response,
    expected_value,
    exploitability,
    nash_conv,
)
from jaxmarl_core.solvers.extensive_form.card_game import CardGame, Decisions, uniform
from jaxmarl_core.solvers.extensive_form.cfr import (
    CFR,
    CFR_PLUS,
    DISCOUNTED_CFR,
    LINEAR_CFR,
    CFRResult,
    CFRState,
    Discounts,
    cfr,
)
from jaxmarl_core.solvers.extensive_form.poker import kuhn_poker, leduc_poker, poker
from jaxmarl_core.solvers.extensive_form.tree import (
    Chance,
    Decision,
    End,
    from_tree,
    require_game,
    require_strategies,
)

__all__ = [
    "CFR",
    "CFR_PLUS",
    "DISCOUNTED_CFR",
    "LINEAR_CFR",
    "CFRResult",
    "CFRState",
    "CardGame",
    "Chance",
    "Decision",
    "Decisions",
    "Discounts",
    "End",
    "best_response",
    "cfr",
    "expected_value",
    "exploitability",
    "from_tree",
    "kuhn_poker",
    "leduc_poker",
    "nash_conv",
    "poker",
    "require_game",
    "require_strategies",
    "uniform",
]
