"""What a recipe of the tabular and repeated families takes: its own Config, its own numbers."""

import dataclasses
import re

import pytest

from jaxmarl_core import hparams
from jaxmarl_core.algos import ALGORITHMS, distributed_q
from jaxmarl_core.algos.repeated import engine as repeated_engine
from jaxmarl_core.algos.repeated.fictitious_play import fictitious_play, smooth_fictitious_play
from jaxmarl_core.algos.repeated.fmq import fmq, rfmq
from jaxmarl_core.algos.tabular import engine, hysteretic_q, lenient_q, oal, q_learning
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.registry import config_type, make_algorithm

FAMILIES = ("jaxmarl_core.algos.tabular.", "jaxmarl_core.algos.repeated.")
RECIPES = [n for n in sorted(ALGORITHMS) if config_type(n).__module__.startswith(FAMILIES)]
COMMON = {"learning_rate", "rate_period", "gamma", "epsilon", "final_epsilon", "anneal_steps"}


@dataclasses.dataclass(frozen=True)
class Foreign:
    """Has all that a recipe could ask for, and yet is not its own."""

    rollout_length: int = 4
    rate: str = "constant"


@pytest.mark.parametrize("name", RECIPES)
def test_another_s_config_is_refused_before_anything_is_built(name):
    own = config_type(name)
    message = f"config: {name} takes {own.__module__}.Config, got {__name__}.Foreign"
    with pytest.raises(TypeError, match=re.escape(message)):
        ALGORITHMS[name](matrix_game(), Foreign())


@pytest.mark.parametrize("name", RECIPES)
def test_no_config_has_a_parent(name):
    """What a recipe reads stands on one page."""
    assert config_type(name).__mro__[1:] == (object,)


def test_who_has_no_learning_rate_is_told_none():
    reason = "rate: distributed_q has no such option, as values rise to their targets at once"
    with pytest.raises(ValueError, match=f"{reason}; got 'visits'"):
        distributed_q(matrix_game("climbing"), engine.Config(rate="visits"))
    with pytest.raises(ValueError, match="rate"):
        make_algorithm("fictitious_play", matrix_game("chicken"), rate="visits")
    with pytest.raises(TypeError, match="rate"):
        repeated_engine.Config(rate="visits")


@pytest.mark.parametrize(
    ("build", "config", "own"),
    [
        (q_learning.q_learning, engine.Config(), COMMON),
        (hysteretic_q.hysteretic_q, engine.Config(), COMMON | {"pessimism"}),
        (
            lenient_q.lenient_q,
            engine.Config(),
            COMMON | {"hottest", "cooling", "leniency", "diffusion"},
        ),
        (
            oal.oal,
            oal.Config(),
            COMMON - {"learning_rate", "rate_period"} | {"first_value", "slack", "slack_power"},
        ),
        (fictitious_play, repeated_engine.Config(), {"prior", "prior_spread"}),
        (
            smooth_fictitious_play,
            repeated_engine.Config(),
            {"prior", "prior_spread", "temperature"},
        ),
    ],
)
def test_a_recipe_has_its_own_numbers_only(build, config, own):
    assert set(hparams.names(build(matrix_game("climbing"), config).hparams)) == own


def test_only_the_recursive_form_of_fmq_has_a_rate_of_frequencies():
    env = matrix_game("climbing")
    only = set(hparams.names(rfmq(env).hparams)) - set(hparams.names(fmq(env).hparams))
    assert only == {"frequency_rate"}
    with pytest.raises(ValueError, match=r"hparams: .*frequency_rate"):
        hparams.table(fmq(env).hparams, frequency_rate=[0.1])
