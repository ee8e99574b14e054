"""Films of episodes, and the files they become."""

import stat

import numpy as np
import pytest
from probes import ConstantReward

from jaxmarl_core.play.policies import Player, random_policy
from jaxmarl_core.report.filming import film, write_film
from jaxmarl_core.report.films import Replay

FRAMES = np.arange(2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 3, 5, 3)


def test_a_world_without_a_picture_is_refused():
    env = ConstantReward()
    with pytest.raises(ValueError, match=r"environment: expected a world that can be drawn.*Const"):
        film(None, env, Player(random_policy(env), ()), 3)


def test_ffmpeg_is_handed_raw_frames(tmp_path, monkeypatch):
    """A stand-in writes down its arguments and copies what it is fed."""
    tool = tmp_path / "ffmpeg"
    tool.write_text('#!/bin/sh\nfor last; do :; done\necho "$@" > "$last.txt"\ncat > "$last"\n')
    tool.chmod(tool.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    write_film(tmp_path / "film.mp4", Replay(FRAMES, frames_per_second=4.0))
    assert (tmp_path / "film.mp4").read_bytes() == FRAMES.tobytes()
    asked = (tmp_path / "film.mp4.txt").read_text()
    assert "-pix_fmt rgb24 -s 5x3 -r 4 -i -" in asked and "yuv420p" in asked


def test_without_ffmpeg_an_mp4_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"out: expected .gif or .html, as no ffmpeg is found"):
        write_film(tmp_path / "film.mp4", Replay(FRAMES))
