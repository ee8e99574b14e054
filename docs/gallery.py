"""Draws docs/environments.md: an episode of every environment, by its own `render`.

    python docs/gallery.py [NAME ...]

writes docs/environments/NAME.gif for each name (default: all) and the page around them. Agents act
at random, so a picture shows the world and its rules, not what learning makes of it.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.play.evaluate import record
from jaxmarl_core.play.policies import Player, random_policy
from jaxmarl_core.registry import make_environment
from jaxmarl_core.report.films import write_gif
from jaxmarl_core.spaces import Box, Discrete, Space
from jaxmarl_core.store import atomic
from jaxmarl_core.types import Renderable

INTRODUCTION = """\
# Environments

Every environment, an episode of it played at random and drawn by its own `render`
(`python docs/gallery.py`). Below its name: who plays with the defaults, the
shape of what each sees (a number alone: that many values) and of what each does (a number alone:
that many actions)."""
DOCS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Scene:
    """What to draw of an environment."""

    options: dict[str, Any] = field(default_factory=dict)
    length: int = 25  # steps at most
    frames_per_second: float = 5.0
    seed: int = 0


SCENES: dict[str, Scene] = {  # environments that are best seen otherwise than by default
    "adversarial_pursuit": Scene({"map_size": 24}, 40),
    "battle": Scene({"map_size": 24, "max_steps": 60}, 60),
    "battlefield": Scene({"map_size": 46}, 40),
    "combined_arms": Scene({"map_size": 24}, 60),
    "gather": Scene({"map_size": 30, "num_food": 40}, 60),
    "multi_agent_brax": Scene({"task": "hopper_3x1", "max_steps": 50}, 50, 20),
    "predator_prey": Scene({"num_hunters": 2}, 25, 2, 3),
    "field_coverage": Scene(length=25, frames_per_second=2),
    "smax": Scene(length=40),
    "ising": Scene({"size": 12}, 12, 2),
    "linear_quadratic_game": Scene(length=25),
    "matrix_game": Scene({"name": "climbing", "num_rounds": 12}, 12, 2),
    "nonlinear_zero_sum": Scene(length=25),
    "soccer": Scene(length=40, frames_per_second=3),
    "soccer_4x2": Scene(length=20, frames_per_second=2),
    "grid_game": Scene(length=20, frames_per_second=2),
    "tiger_deer": Scene({"map_size": 24, "tiger_recovery": -0.5}, 40),
    "two_step_game": Scene(length=2, frames_per_second=1),
}


def frames(env, scene: Scene) -> np.ndarray:
    """Returns one episode of random play as images [T, H, W, 3] uint8."""
    player = Player(random_policy(env), ())
    play = jax.jit(lambda key: record(key, env, player, scene.length)[::2])
    states, last = play(jax.random.key(scene.seed))
    length = int(np.argmax(np.append(np.asarray(last), True))) + 1
    length = min(length, scene.length + 1)
    shown = jax.tree.map(lambda x: x[:length], states)
    return np.asarray(jax.jit(lambda s: jax.lax.map(env.render, s))(shown))


def draw(name: str) -> bool:
    """Writes the environment's animation; returns whether it has one."""
    scene = SCENES.get(name, Scene())
    env = make_environment(name, **scene.options)
    if not isinstance(env, Renderable):
        return False
    path = DOCS / "environments" / f"{name}.gif"
    path.parent.mkdir(exist_ok=True)
    write_gif(path, frames(env, scene), scene.frames_per_second)
    return True


def family(name: str) -> str:
    """Returns the heading an environment stands under: its folder, or its module."""
    return ENVIRONMENTS[name].__module__.split(".")[2].replace("_", " ")


def space(value: Space) -> str:
    """Returns a space in a few characters: 5 for Discrete(5), [18] for a Box."""
    if isinstance(value, Discrete):
        return str(value.num_values)
    if isinstance(value, Box):
        return str(list(value.shape))
    return "{" + ", ".join(f"{name}: {space(part)}" for name, part in value.items) + "}"


def facts(name: str) -> str:
    """Returns who plays an environment, what each sees and how many actions it has."""
    groups = make_environment(name).groups.items()
    each = (f"{g.size} {n}: sees {space(g.observation)}, does {space(g.action)}" for n, g in groups)
    return "<br>".join(each)


def page(names: Iterable[str]) -> str:
    """Returns the Markdown page."""
    lines = [*INTRODUCTION.splitlines(), ""]
    about = ENVIRONMENTS.descriptions()
    for title, members in groupby(sorted(names, key=lambda n: (family(n), n)), key=family):
        lines += [f"## {title.capitalize()}", "", "| | |", "|---|---|"]
        for name in members:
            picture = DOCS / "environments" / f"{name}.gif"
            image = f"![{name}](environments/{name}.gif)" if picture.exists() else ""
            lines.append(f"| {image} | **`{name}`**<br>{about[name]}<br><sub>{facts(name)}</sub> |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Draws what is asked for, and writes the page."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    for name in parser.parse_args().names or sorted(ENVIRONMENTS):
        print(f"{name}: {'drawn' if draw(name) else 'has no picture'}", flush=True)
    atomic.write(DOCS / "environments.md", page(ENVIRONMENTS).encode())


if __name__ == "__main__":
    main()
