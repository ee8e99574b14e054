"""Two-player zero-sum card games in extensive form, and counterfactual regret minimisation."""

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

__all__ = [
    "CFR",
    "CFR_PLUS",
    "DISCOUNTED_CFR",
    "LINEAR_CFR",
    "CFRResult",
    "CFRState",
    "CardGame",
    "Decisions",
    "Discounts",
    "best_response",
    "cfr",
    "expected_value",
    "exploitability",
    "kuhn_poker",
    "leduc_poker",
    "nash_conv",
    "poker",
    "uniform",
]
