"""What recipes say of their engine's Config."""

import re
from dataclasses import dataclass

import pytest

from jaxmarl_core.recipes import (
    option_kinds,
    refuse,
    require_kinds,
    require_own,
    with_defaults,
    with_own_options,
)


@dataclass(frozen=True)
class Config:
    num_envs: int = 4
    share: str | None = None
    critic: str | None = None


def test_what_was_not_said_is_the_recipe_s_and_what_was_said_stays():
    assert with_defaults(Config(), share="none") == Config(share="none")
    assert with_defaults(Config(8, "all"), share="none") == Config(8, "all")
    assert with_defaults(Config(8), num_envs=2) == Config(8)
    with pytest.raises(ValueError, match=r"config: expected one of .*; got 'shar'; did you mean"):
        with_defaults(Config(), shar="none")


def test_an_option_that_a_recipe_lacks_is_refused_by_name():
    reason = "as its critics see what agents see"
    refuse("ippo", Config(), critic=reason)
    message = f"critic: ippo has no such option, {reason}; got 'agent'"
    with pytest.raises(ValueError, match=re.escape(message)):
        refuse("ippo", Config(critic="agent"), critic=reason)


@dataclass(frozen=True)
class Typed:
    rate: float = 0.5
    hidden: tuple[int, ...] = (4,)
    sizes: tuple[int, ...] | None = None
    num_epochs: int | None = None
    fast: bool = False


def test_options_are_of_the_kind_that_is_declared():
    assert option_kinds(Typed) == {
        "rate": float,
        "hidden": tuple,
        "sizes": tuple,
        "num_epochs": int,
        "fast": bool,
    }
    require_kinds(Typed())
    require_kinds(Typed(rate=1, num_epochs=4))
    for name, value, message in (
        ("num_epochs", "4", "num_epochs: expected int, got str '4'"),
        ("num_epochs", True, "num_epochs: expected int, got bool True"),
        ("num_epochs", 4.0, "num_epochs: expected int, got float 4.0"),
        ("rate", None, "rate: expected float, got NoneType None"),
    ):
        with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
            require_kinds(Typed(**{name: value}))


def test_another_recipe_s_config_is_refused_even_if_it_has_all_fields():
    @dataclass(frozen=True)
    class Wider(Config):
        more: int = 1

    require_own("ippo", Config(), Config)
    message = rf"^config: ippo takes {__name__}\.Config, got {__name__}\..*Wider$"
    with pytest.raises(TypeError, match=message):
        require_own("ippo", Wider(), Config)


def test_a_recipe_s_own_options_are_filled_in_and_all_others_refused():
    assert with_own_options("happo", Config(8), share="none") == Config(8, "none")
    assert with_own_options("happo", Config(share="all"), share="none") == Config(share="all")
    message = "critic: happo has no such option, beside the engine's it has share; got 'agent'"
    with pytest.raises(ValueError, match=re.escape(message)):
        with_own_options("happo", Config(critic="agent"), share="none")
    message = "share: q has no such option, beside the engine's it has none; got 'all'"
    with pytest.raises(ValueError, match=re.escape(message)):
        with_own_options("q", Config(share="all"))
