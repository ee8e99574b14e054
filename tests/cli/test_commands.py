"""The command line, called as from a shell: what it prints, writes and exits with."""

import json
import re
import signal
import subprocess
import sys

import jax
import pytest
from commands import called

from jaxmarl_core.cli import train
from jaxmarl_core.cli.running import CACHE_VARIABLE, begin, cache_folder
from jaxmarl_core.store import sweep_folder

FEW = ["--updates", "2", "--segment", "1", "--quiet", "--config.rollout-length", "4"]


@pytest.fixture
def toml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.toml"
    path.write_text(
        'algorithm = "q_learning"\nenvironment = "matrix_game"\nupdates = 2\nseeds = 2\n'
        "[config]\nrollout_length = 4\n[grid.hparams]\nlearning_rate = [0.1, 0.2]\n"
    )
    return path


def test_list_shows_what_there_is(capsys):
    code, out, _ = called(capsys, "list")
    assert code == 0
    for name in ("mfq", "ippo", "q_learning", "il", "battle", "matrix_game"):
        assert name in out


def test_sweep_writes_a_report_and_a_table(capsys, toml, tmp_path):
    code, out, _ = called(capsys, "sweep", toml, "--quiet")
    assert code == 0
    assert "learning_rate" in out
    assert (tmp_path / "runs" / "small" / "report.html").exists()
    assert (tmp_path / "runs" / "small" / "results.csv").exists()

    code, out, _ = called(capsys, "report", "runs/small")
    assert code == 0
    assert "report.html" in out


def test_train_takes_options_of_both_sides(capsys, tmp_path):
    out = tmp_path / "x"
    code, _, err = called(
        capsys, "train", "q_learning", "matrix_game", *FEW, "--seeds", "2", "--out", out,
        "--hparams.learning-rate", "0.3", "--env.name", "chicken", "--env.num-rounds", "2",
        "--evaluate-every", "2", "--against", "player_1",
    )  # fmt: skip
    assert code == 0, err
    spec = json.loads((out / "spec.json").read_text())
    assert spec["environment_options"] == {"name": "chicken", "num_rounds": 2}
    assert spec["config"] == {"rollout_length": 4}
    assert spec["hparams"] == {"learning_rate": 0.3}  # what was told; the runs have all
    run, _ = json.loads((out / "part-000" / "runs.json").read_text())
    assert (run["hparams"]["learning_rate"], run["hparams"]["gamma"]) == (0.3, 0.9)
    assert spec["evaluation"]["opponents"] == {"player_1": "random"}
    assert (out / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["swep"], "command: .* did you mean 'sweep'"),
        (["train", "q_lerning", "matrix_game"], "algorithm: .* did you mean 'q_learning'"),
        (["train", "q_learning", "matrix_gme"], "environment: .* did you mean 'matrix_game'"),
        (["train", "mfq", "matrix_game"], "mfq: needs a mean-field environment"),
        (["train", "q_learning", "matrix_game", "--hparams.gamma", "1.5"], "gamma: expected in"),
        (["train", "q_learning", "matrix_game", "--env.name", "chiken"], "did you mean 'chicken'"),
        (["train", "q_learning", "matrix_game", "--seeds", "0"], "seeds: expected at least 1"),
        (["sweep", "none.toml"], "spec: expected a TOML file"),
        (["report", "none"], "out: expected the folder of a sweep"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = called(capsys, *arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1
    assert re.search(message, err)
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_is_one_line(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "jaxmarl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "jaxmarl_core.envs.interop.smax", raising=False)
    monkeypatch.setitem(sys.modules, "jaxmarl", None)
    code, _, err = called(capsys, "train", "ippo", "smax", *FEW)
    assert code == 2
    assert err == "error: jaxmarl is not installed: pip install 'jaxmarl-core[jaxmarl]'\n"


def test_an_algorithm_is_built_on_the_options_of_its_environment(capsys, tmp_path):
    """QMIX learns in games of a team alone, which the default game is not."""
    code, _, err = called(capsys, "train", "qmix", "matrix_game", *FEW, "--out", tmp_path / "x")
    assert code == 2 and err.startswith("error: qmix: ")
    few = ["--env.name", "climbing", "--hparams.gamma", "0.5", "--config.memory-size", "0"]
    told = train.parsed("qmix", "matrix_game", few)
    assert (told.env.name, told.hparams.gamma, told.config.memory_size) == ("climbing", 0.5, 0)


def test_help_says_why_the_numbers_are_missing(capsys):
    code, out, _ = called(capsys, "train", "qmix", "matrix_game", "--help")
    assert code == 0
    assert "it is refused: qmix" in " ".join(out.split()) and "--env.name" in out
    code, out, _ = called(capsys, "train", "qmix", "matrix_game", "--env.name", "climbing", "-h")
    assert code == 0 and "--hparams.gamma" in out and "refused" not in out


def test_help_tells_what_options_mean(capsys):
    _, out, _ = called(capsys, "train", "ippo", "matrix_game", "--help")
    text = " ".join(out.replace("│", " ").split())
    assert "(default: never)" in text and "1000000000000" not in text
    assert "discount of later rewards; in [0, 1]" in text


def test_an_unknown_option_is_refused_with_the_nearest(capsys):
    code, out, err = called(capsys, "train", "q_learning", "matrix_game", "--hparams.gama", "0.5")
    assert code == 2
    assert "--hparams.gamma" in out + err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["sweep", "train", "report", "evaluate", "play", "export", "list"]),
        (["sweep", "--help"], ["--resume", "--out"]),
        (["report", "--help"], ["usage: jaxmarl-core report"]),
        (["list", "--help"], ["usage"]),
        (["train", "--help"], ["ALGORITHM", "q_learning", "battle"]),
        (["train", "q_learning", "matrix_game", "--help"], ["--hparams.gamma", "--env.num-rounds"]),
        (["train", "mfq", "battle", "--help"], ["--hparams.tau", "--env.map-size"]),
    ],
    ids=" ".join,
)
def test_help_everywhere(capsys, arguments, words):
    code, out, _ = called(capsys, *arguments)
    assert code == 0
    for word in words:
        assert word in out


@pytest.mark.parametrize("arguments", [[], ["train"], ["train", "mfq"]])
def test_too_little_said_shows_the_usage(capsys, arguments):
    code, out, _ = called(capsys, *arguments)
    assert code == 2
    assert out.startswith("usage: jaxmarl-core")


def test_ctrl_c_says_how_to_go_on(capsys, toml, monkeypatch):
    original = sweep_folder.write_segment

    def interrupted(*args):
        signal.raise_signal(signal.SIGINT)
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_folder, "write_segment", interrupted)
        code, out, _ = called(capsys, "sweep", toml, "--quiet", "--out", "there")
    assert code == 130
    assert "all is saved" in out
    line = " ".join(out.split())
    assert f"jaxmarl-core sweep {toml} --out there --resume" in line
    code, _, err = called(capsys, "sweep", toml, "--quiet", "--out", "there", "--resume")
    assert code == 0, err


def test_compiled_programs_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    name = "jax_compilation_cache_dir"
    before = getattr(jax.config, name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().parent == tmp_path / "jaxmarl-core"
    try:
        monkeypatch.setenv(CACHE_VARIABLE, "elsewhere")
        begin()
        assert getattr(jax.config, name) == before  # who said where is heard
        monkeypatch.delenv(CACHE_VARIABLE)
        begin()
        assert getattr(jax.config, name) == str(cache_folder())
    finally:
        jax.config.update(name, before)


def test_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "jaxmarl_core.cli", "lsit"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "did you mean 'list'" in done.stderr
