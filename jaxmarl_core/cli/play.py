"""Film an episode of a policy that a sweep has trained: a GIF, an MP4 or a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import jax
import tyro

from jaxmarl_core.cli.running import CONSOLE, begin
from jaxmarl_core.cli.trained import load_match
from jaxmarl_core.errors import require
from jaxmarl_core.play.evaluate import episode_length
from jaxmarl_core.report.filming import film, require_writable, write_film

MOST_FRAMES = 400


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core play`."""
    tyro.cli(play, args=arguments, prog="jaxmarl-core play")


def play(
    folder: Annotated[Path, tyro.conf.Positional],
    run: str = "best",
    out: Path | None = None,
    against: str = "",
    world: str = "",
    seed: int = 0,
    length: int = 0,
    frames_per_second: float = 10.0,
    sample: bool = False,
) -> None:
    """Film an episode of a policy that a sweep has trained: a GIF, an MP4 or a page.

    Args:
      folder: of the sweep, or of an exported policy.
      run: "best", a number, or options such as learning_rate=3e-4,clip=0.2: the best run with them.
      out: the film to write, by its ending .gif, .mp4 (needs ffmpeg) or .html, a page that plays
        it; by default <name of the folder>.gif here.
      against: who plays the other teams: the folder of another sweep or policy, or "random". By
        default those who did in the sweep's own evaluations.
      world: options of the environment, in place of those it learnt with: map_size=80 for a larger
        battle. The policy must be one that fits.
      seed: of the episode.
      length: steps at most; 0: the environment's own time limit, but 400 at most.
      frames_per_second: how fast the film runs.
      sample: draw actions from the policy instead of taking its mode.
    """
    path = out or Path(f"{folder.resolve().name}.gif")
    require_writable(path)
    require(frames_per_second > 0, "frames_per_second", "above 0", frames_per_second)
    begin()
    env, (match, *_) = load_match(folder, run, against, world)
    steps = length or min(episode_length(env), MOST_FRAMES)
    found = film(jax.random.key(seed), env, match.player, steps, greedy=not sample)
    found = found._replace(caption=match.title, frames_per_second=frames_per_second)
    write_film(path, found)
    CONSOLE.print(f"{match.title}: {len(found.frames) - 1} steps", markup=False, soft_wrap=True)
    CONSOLE.print(str(path), markup=False, soft_wrap=True)
