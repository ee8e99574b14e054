"""What on-policy recipes can be told, what they say themselves, and what they refuse."""

import jax
import jax.numpy as jnp
import pytest

from jaxmarl_core import hparams as hp
from jaxmarl_core.algos import coma, haa2c, happo, hatrpo, ia2c, ippo, maa2c, mappo
from jaxmarl_core.algos.on_policy.haml import haml
from jaxmarl_core.algos.on_policy.learning import clipping_drift, trust_region
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.registry import make_algorithm

ENV = matrix_game("climbing")
RECIPES = {
    "coma": coma,
    "haa2c": haa2c,
    "haml": haml,
    "happo": happo,
    "hatrpo": hatrpo,
    "ia2c": ia2c,
    "ippo": ippo,
    "maa2c": maa2c,
    "mappo": mappo,
}
SEPARATE = {"haa2c", "haml", "happo", "hatrpo"}
ONE_PASS = {"coma", "haa2c", "ia2c", "maa2c"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_s_defaults_hold_whatever_else_is_said(name):
    """The parameters of the two agents are stacked where they do not share; else there is one."""
    for config in (Config(), Config(hidden=(3,))):
        algorithm = RECIPES[name](ENV, config)
        params = jax.eval_shape(algorithm.init, jax.random.key(0), algorithm.hparams).params
        ndim = params.actors["agents"]["params"]["Dense_0"]["bias"].ndim
        assert ndim == (2 if name in SEPARATE else 1)


@pytest.mark.parametrize("name", RECIPES)
def test_minibatches_divide_the_batch_of_the_resolved_config(name):
    config = Config(num_envs=6, memory_size=2)
    if name in ONE_PASS:
        RECIPES[name](ENV, config)
        return
    with pytest.raises(ValueError, match=r"^num_minibatches: expected a divisor of 6, the sequenc"):
        RECIPES[name](ENV, config)


REFUSED = [
    *((name, "critic", "agent") for name in ("coma", "ia2c", "ippo")),
    *((name, "target_period", 3) for name in RECIPES if name != "coma"),
]


@pytest.mark.parametrize(("name", "option", "value"), REFUSED)
def test_an_option_that_a_recipe_lacks_is_refused(name, option, value):
    with pytest.raises(ValueError, match=f"^{option}: {name} has no such option, as .*{value}"):
        RECIPES[name](ENV, Config(**{option: value}))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("num_epochs", "4", "num_epochs: expected int, got str '4'"),
        ("num_minibatches", 2.0, "num_minibatches: expected int, got float 2.0"),
        ("share", True, "share: expected str, got bool True"),
        ("target_period", (1,), r"target_period: expected int, got tuple \(1,\)"),
    ],
)
def test_options_of_the_wrong_kind_are_refused(option, value, message):
    with pytest.raises(TypeError, match=f"^{message}$"):
        Config(**{option: value})
    with pytest.raises(TypeError, match=f"^{message}$"):
        make_algorithm("coma", ENV, **{option: value})


ASCENT = {"learning_rate", "entropy", "final_entropy", "entropy_updates"}
CRITIC = {
    *("critic_learning_rate", "anneal_updates", "gamma", "gae_lambda", "value_clip", "huber"),
    *("max_grad_norm", "scale_rate"),
}
CLIPPING, REGION = {"clip", "target_kl"}, {"max_kl", "damping"}
NUMBERS = {
    "coma": ASCENT | CRITIC,
    "haa2c": ASCENT | CRITIC,
    "haml": ASCENT | CRITIC,
    "happo": ASCENT | CRITIC | CLIPPING,
    "hatrpo": CRITIC | REGION,
    "ia2c": ASCENT | CRITIC,
    "ippo": ASCENT | CRITIC | CLIPPING,
    "maa2c": ASCENT | CRITIC,
    "mappo": ASCENT | CRITIC | CLIPPING,
}


LEARNT = {"policy_loss", "entropy", "kl", "actor_grad_norm"}
VALUED = {"value_loss", "critic_grad_norm", "explained_variance"}
FIGURES = dict.fromkeys(RECIPES, LEARNT | VALUED)
FIGURES |= {name: LEARNT | VALUED | {"clip_fraction"} for name in ("happo", "ippo", "mappo")}
FIGURES["hatrpo"] = FIGURES["hatrpo"] | {"improvement", "accepted"}


@pytest.mark.fast("coma", "haml", "hatrpo", "ippo")
@pytest.mark.parametrize("name", RECIPES)
def test_the_figures_of_a_recipe(name):
    algorithm = RECIPES[name](ENV)
    state = jax.eval_shape(algorithm.init, jax.random.key(0), algorithm.hparams)
    given = jax.random.key(0), state, algorithm.hparams, jnp.int32(0)
    metrics = jax.eval_shape(algorithm.update, *given)[1]
    played = {"env_steps"} | {figure for figure in metrics if figure.startswith("episode_")}
    found = set(metrics) - played
    assert found - {"compound_ratio"} == FIGURES[name]
    assert ("compound_ratio" in found) == (name in SEPARATE)


@pytest.mark.parametrize("name", RECIPES)
def test_the_numbers_of_a_recipe_are_those_that_it_reads(name):
    defaults = RECIPES[name](ENV).hparams
    assert set(hp.names(defaults)) == NUMBERS[name]
    assert len(jax.tree.leaves(defaults)) == len(NUMBERS[name])


def test_the_template_s_numbers_are_those_that_its_parts_read():
    assert set(hp.names(haml(ENV, drift=clipping_drift).hparams)) == NUMBERS["happo"]
    assert set(hp.names(haml(ENV, neighbourhood=trust_region()).hparams)) == NUMBERS["hatrpo"]
    plain = haml(ENV).hparams
    short = haml(ENV, Config(num_envs=2, num_minibatches=1), drift=clipping_drift, hparams=plain)
    state = jax.eval_shape(short.init, jax.random.key(0), plain)
    with pytest.raises(ValueError, match=r"^clip: expected a number among the hparams"):
        jax.eval_shape(short.update, jax.random.key(0), state, plain, jnp.int32(0))
