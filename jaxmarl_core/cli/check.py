"""Check an environment or an algorithm, yours or ours, against what the library relies on."""

from collections.abc import Sequence
from typing import Annotated

import tyro

from jaxmarl_core import registry
from jaxmarl_core.algos import ALGORITHMS
from jaxmarl_core.checks.algorithm import check_algorithm
from jaxmarl_core.checks.environment import check_environment
from jaxmarl_core.cli.running import CONSOLE, begin
from jaxmarl_core.errors import require
from jaxmarl_core.own_names import builds_algorithm, load


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core check`."""
    tyro.cli(check, args=arguments, prog="jaxmarl-core check")


def check(
    names: Annotated[tuple[str, ...], tyro.conf.Positional],
    max_steps: int = 0,
) -> None:
    """Check an environment or an algorithm, yours or ours, against what the library relies on.

    Args:
      names: an environment; or an algorithm and an environment to train it in. One of the lists of
        `jaxmarl-core list`, or module:name of your own file, such as maze:maze.
      max_steps: how long a random episode may take to end; 0: the environment's own `max_steps`, or
        1000.
    """
    begin()
    expected = "an environment, or an algorithm and an environment"
    require(1 <= len(names) <= 2, "check", expected, " ".join(names) or "nothing")
    is_alone = len(names) == 1 and is_algorithm(names[0])
    require(not is_alone, "check", f"{names[0]} and an environment to train it in", names[0])
    env = registry.make_environment(names[-1])
    sentences = check_environment(env, max_steps)
    if len(names) == 2 and not sentences:
        sentences = check_algorithm(registry.make_algorithm(names[0], env), env)
    for sentence in sentences:
        CONSOLE.print(f"  {sentence}", markup=False, soft_wrap=True)
    if sentences:
        raise SystemExit(1)
    CONSOLE.print(f"{' in '.join(names)}: nothing to complain of", markup=False)


def is_algorithm(name: str) -> bool:
    """Returns whether a name is that of an algorithm."""
    return builds_algorithm(load(name, "name")) if ":" in name else name in ALGORITHMS
