"""An episode as pictures: played in a world that can be drawn, and written as people watch it."""

import os
import shutil
import subprocess
from pathlib import Path

import jax
import numpy as np

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.play.evaluate import record
from jaxmarl_core.play.policies import Player
from jaxmarl_core.play.wrappers import Episode, team_names
from jaxmarl_core.report.films import Replay, check_frames, gif
from jaxmarl_core.report.page import replay_page
from jaxmarl_core.store import atomic
from jaxmarl_core.types import Environment, Key, Renderable


def film(key: Key, env: Environment, player: Player, length: int, greedy: bool = True) -> Replay:
    """Returns an episode with a picture and a line of text for every step.

    Args:
      key: randomness.
      env: one that can be drawn.
      player: who plays all groups.
      length: at most this many steps.
      greedy: whether the player takes the mode of its policy or draws from it.

    Raises:
      ValueError: the environment has no picture.
    """
    has = "a world that can be drawn, with `render(state)`"
    require(isinstance(env, Renderable), "environment", has, type(env).__name__)
    assert isinstance(env, Renderable)  # for the type checker
    play = jax.jit(
        lambda key, params: record(key, env, player._replace(params=params), length, greedy)
    )
    states, episode, last = play(key, player.params)
    num_frames = int(np.argmax(last)) + 1 if last.any() else len(last)
    states, episode = jax.tree.map(lambda x: x[:num_frames], (states, episode))
    frames = np.asarray(jax.lax.map(env.render, states))
    return Replay(frames, texts=_texts(env, jax.tree.map(np.asarray, episode)))


def _texts(env: Environment, episode: Episode) -> list[str]:
    """Returns a line for each frame: the step, and what each team has earned."""
    names = team_names(env)
    return [
        f"step {length}, return " + ", ".join(f"{n} {r:.1f}" for n, r in zip(names, returns))
        for length, returns in zip(episode.length, episode.returns)
    ]


def require_writable(path: str | os.PathLike) -> None:
    """Raises what `write_film` would for a name, before there is a film."""
    path = Path(path)
    lookup(WRITERS, path.suffix, "out (its ending)")
    found = path.suffix != ".mp4" or shutil.which("ffmpeg") is not None
    require(found, "out", ".gif or .html, as no ffmpeg is found here", path.name)


def write_film(path: str | os.PathLike, replay: Replay) -> None:
    """Writes an episode as its name ends: .gif, .mp4 (by ffmpeg), or .html, a page that plays it.

    Raises:
      ValueError: another ending, or no ffmpeg on this machine for an .mp4.
    """
    path = Path(path)
    require_writable(path)
    WRITERS[path.suffix](path, replay)


def _write_gif(path: Path, replay: Replay) -> None:
    atomic.write(path, gif(replay.frames, replay.frames_per_second))


def _write_page(path: Path, replay: Replay) -> None:
    atomic.write(path, replay_page(replay, path.stem))


def _write_mp4(path: Path, replay: Replay) -> None:
    """Hands the frames to ffmpeg, for H.264, whose sides are even: a line may be added."""
    ffmpeg = shutil.which("ffmpeg")
    check_frames(replay.frames)
    _, height, width, _ = replay.frames.shape
    pixels = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    rate = ["-r", f"{replay.frames_per_second:g}"]
    even = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]
    command = [str(ffmpeg), "-y", "-v", "error", *pixels, *rate, "-i", "-", *even, str(path)]
    frames = np.ascontiguousarray(replay.frames).tobytes()
    done = subprocess.run(command, input=frames, capture_output=True)
    require(done.returncode == 0, "out", "a film from ffmpeg", done.stderr.decode().strip())


WRITERS = {".gif": _write_gif, ".mp4": _write_mp4, ".html": _write_page}
