"""Specs with a mistake: each is told with its file, key and remedy, before anything is compiled."""

import re

import pytest

from jaxmarl_core.cli import main
from jaxmarl_core.sweeps import program

HEAD = 'algorithm = "q_learning"\nenvironment = "matrix_game"\n'
MANY = "9" * 30
BROKEN = [  # (the rest of the file, what is said of it)
    # names
    ('algorithm = "q_lerning"', "Cannot overwrite a value"),
    ("seed = 3", "spec: .* got 'seed'; did you mean 'seeds'"),
    ("[evalution]\nevery = 1", "spec: .* did you mean 'evaluation'"),
    ("[evaluation]\nevry = 1", "evaluation: .* got 'evry'; did you mean 'every'"),
    ("[hparams]\ngama = 0.9", "hparams: .* got 'gama'; did you mean 'gamma'"),
    ("[config]\nrollout_len = 4", "q_learning option: .* did you mean 'rollout_length'"),
    ("[environment_options]\nnum_round = 2", "did you mean 'num_rounds'"),
    ('[environment_options]\nname = "chiken"', "did you mean 'chicken'"),
    ("[grid.hparam]\ngamma = [0.9]", "grid: .* did you mean 'hparams'"),
    ("[grid.hparams]\ngama = [0.9]", "did you mean 'gamma'"),
    ("[grid.config]\nrollout = [4]", "q_learning option: .* got 'rollout'"),
    ("[random]\nnum = 2\ngamme = [0.1, 0.2]", "did you mean 'gamma'"),
    ('[evaluation.opponents]\nplayer_2 = "random"', "did you mean 'player_"),
    ('[evaluation.opponents]\nplayer_1 = "rand"', "did you mean 'random'"),
    ('objective = "episode_retrun_player_0"', "objective: .* did you mean 'episode_return_player_"),
    ('objective = "eval_return_player_0"', "objective: .* got 'eval_return_player_0'"),
    ('[opponents]\nplayer_2 = "random"', "opponents: .* did you mean 'player_"),
    ('[opponents]\nplayer_1 = "pol"', "opponents.player_1: .* got 'pol'; did you mean 'pool'"),
    ('[opponents]\nplayer_1 = "runs/nothing"', "opponents.player_1: .*folder.* got 'runs/nothing'"),
    ('[opponents]\nplayer_1 = "nobody:nothing"', "opponents.player_1: expected a module nobody"),
    ('[opponents]\nplayer_1 = "math:sqrt"', "opponents.player_1 = math:sqrt: expected .*-> Player"),
    ('[opponents]\nplayer_1 = "pool"\n[pool]\nsiz = 3', "pool: .* did you mean 'size'"),
    ('[opponents]\nplayer_1 = "pool"\n[pool]\ndraw = "hrad"', "draw: .* did you mean 'hard'"),
    # folders
    ('name = "../x"', r"name: expected the name of a folder under runs/, got '\.\./x'"),
    ('name = "/tmp/x"', "name: expected the name of a folder under runs/"),
    ('name = "a/b"', "name: expected the name of a folder under runs/"),
    ('name = ".."', "name: expected the name of a folder under runs/"),
    ('name = "a\\nb"', "name: expected the name of a folder under runs/"),
    ('name = " a"', "name: expected the name of a folder under runs/"),
    (f'name = "{"a" * 300}"', "name: expected the name of a folder under runs/"),
    # kinds
    ('seeds = "three"', "seeds: expected int, got 'three'"),
    ("seeds = 1.5", "seeds: expected int, got 1.5"),
    ("updates = 3e9", "updates: expected int, got 3000000000.0"),
    ("seeds = true", "seeds: expected int, got True"),
    ("higher_is_better = 1", "higher_is_better: expected bool, got 1"),
    ("title = 3", "title: expected str, got 3"),
    ("config = [1]", "config: expected Mapping"),
    ("evaluation = 3", "evaluation: expected Mapping, got 3"),
    ("[evaluation]\nevery = 0.5", "evaluation.every: expected int, got 0.5"),
    ("[evaluation.opponents]\nplayer_1 = 3", "opponents: expected names, got 3"),
    ("[opponents]\nplayer_1 = 3", "opponents.player_1: expected a name, got 3"),
    ("opponents = 3", "opponents: expected Mapping, got 3"),
    ('[opponents]\nplayer_1 = "pool"\n[pool]\nsize = 2.5', "pool.size: expected int, got 2.5"),
    ("[config]\nrollout_length = 2.5", "rollout_length: expected int, got float 2.5"),
    ("[config]\nrollout_length = {a = 1}", "rollout_length: expected int, got dict"),
    ('[hparams]\ngamma = "high"', "hparams.gamma: expected a number, got 'high'"),
    ("[grid.hparams]\ngamma = 0.9", "grid.hparams.gamma: expected a list of values, got 0.9"),
    ("[grid.hparams]\ngamma = []", "grid.hparams.gamma: expected a list of values"),
    ("[grid]\nhparams = 0.9", "grid.hparams: expected a table of lists, got 0.9"),
    (
        "[random]\nnum = 2\ngamma = 0.1",
        r"random.gamma: expected a range \[low, high\], or a table with a kind, got 0.1",
    ),
    ("[random]\nnum = true\ngamma = [0.1, 0.2]", "random.num: expected at least 1, got True"),
    ('[random]\nnum = 2\nseed = "x"\ngamma = [0.1, 0.2]', "random.seed: expected in"),
    # numbers
    ("seeds = 0", "seeds: expected at least 1, got 0"),
    ("updates = 0", "updates: expected at least 1, got 0"),
    ("updates = 3000000000", "updates: expected at most 2147483647, got 3000000000"),
    ("first_seed = -1", "first_seed: expected at least 0, got -1"),
    ("first_seed = 2147483648", "first_seed: expected at most 2147483647"),
    ("seeds = 2\nfirst_seed = 2147483647", "seeds: expected the last one at most 2147483647"),
    ("seeds = 2000000000", "seeds: expected at most 10,000,000 runs in all"),
    (f"seeds = {MANY}", "seeds: expected at most 2147483647"),
    ("updates = 6\nsegment = 4", r"segment: expected a divisor of updates \(6\), got 4"),
    ("segment = -1", "segment: expected a divisor of updates"),
    ("checkpoint_seconds = nan", "checkpoint_seconds: expected a finite number.* got nan"),
    ("checkpoint_seconds = -1", "checkpoint_seconds: expected a finite number, at least 0"),
    ("checkpoint_seconds = inf", "checkpoint_seconds: expected a finite number"),
    ("memory_gb = nan", "memory_gb: expected a finite number"),
    ("memory_gb = -1.0", "memory_gb: expected a finite number, at least 0, got -1.0"),
    ("updates = 5\n[evaluation]\nevery = 6", r"evaluation.every: expected at most updates \(5\)"),
    ("[evaluation]\nevery = -1", "evaluation.every: expected at least 0"),
    ("[evaluation]\nepisodes = 0", "evaluation.episodes: expected at least 1"),
    ('[opponents]\nplayer_1 = "pool"\n[pool]\nsize = 0', "pool.size: expected a whole number"),
    ('[opponents]\nplayer_1 = "pool"\n[pool]\nevery = -1', "pool.every: expected a whole number"),
    ('[opponents]\nplayer_1 = "pool"\n[pool]\ndecay = 2', r"pool.decay: expected in \(0, 1\]"),
    ('[opponents]\nplayer_1 = "self"\n[pool]\nsize = 3', 'pool.size: .*"self", which is one copy'),
    ("[pool]\nsize = 3", 'pool: expected an opponent "self" or "pool"'),
    ('[opponents]\nplayer_0 = "self"\nplayer_1 = "random"', "opponents: expected a group left"),
    ("[hparams]\ngamma = 1.5", r"gamma: expected in \[0, 1\], got 1.5"),
    ("[hparams]\ngamma = nan", "gamma: expected in .* got nan"),
    ("[hparams]\nlearning_rate = 1e300", "learning_rate: expected a finite number"),
    (f"[hparams]\nlearning_rate = {MANY}{MANY}", "learning_rate: expected a finite number"),
    ("[config]\nrollout_length = 0", "rollout_length: expected at least 1, got 0"),
    ("[environment_options]\nnum_rounds = 0", "num_rounds: expected at least 1"),
    ("[random]\nnum = 2\ngamma = [0.9, 0.1]", "gamma: expected a range .*low < high"),
    ("[random]\nnum = 2\ngamma = [0.1, 1.9]", "gamma: expected a range within"),
    (f"[random]\nnum = {MANY}\ngamma = [0.1, 0.2]", "random.num: expected at most 10,000,000"),
    # what counts twice, or says two things
    ("[grid.hparams]\ngamma = [0.9, 0.5, 0.9]", "grid.hparams.gamma: expected distinct values"),
    ("[grid.hparams]\ngamma = [0.1, 0.1000000001]", "grid.hparams.gamma: expected distinct"),
    ("[grid.config]\nrollout_length = [4, 4]", "grid.config.rollout_length: expected distinct"),
    ("[hparams]\ngamma = 0.9\n[grid.hparams]\ngamma = [0.5]", "hparams.gamma: expected fixed or"),
    (
        "[config]\nrollout_length = 4\n[grid.config]\nrollout_length = [8]",
        "config.rollout_length: expected fixed or in the grid, got both",
    ),
    (
        "[environment_options]\nnum_rounds = 4\n[grid.environment_options]\nnum_rounds = [8]",
        "environment_options.num_rounds: expected fixed or in the grid, got both",
    ),
    ("[hparams]\ngamma = 0.9\n[random]\nnum = 2\ngamma = [0.1, 0.2]", "random.gamma: .* both"),
    ("[random]\nnum = 3", r"random: expected a range \[low, high\] for some hparam"),
    (
        "[random]\nnum = 2\ngamma = [0.1, 0.2]\n[grid.hparams]\ngamma = [0.1]",
        "random.gamma: expected drawn or in the grid, got both",
    ),
    # files
    ("seeds = 3 3", "Expected newline or end of document"),
    ("seeds = 3\nseeds = 4", "Cannot overwrite a value"),
    ("\x00", "small.toml: "),
]


@pytest.fixture(autouse=True)
def nothing_is_compiled(monkeypatch, tmp_path):
    monkeypatch.setattr(program, "compile_program", None)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=range(len(BROKEN)))
def test_a_mistake_is_one_line_that_names_the_file(capsys, tmp_path, text, message):
    (tmp_path / "small.toml").write_text(HEAD + text)
    assert re.search(message, complaint(capsys, tmp_path))


def test_bytes_that_are_no_text(capsys, tmp_path):
    (tmp_path / "small.toml").write_bytes(b"\xff\xfe")
    assert "codec" in complaint(capsys, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('environment = "matrix_game"', "algorithm: expected a name, got nothing"),
        ('algorithm = "q_learning"', "environment: expected a name, got nothing"),
        ("", "algorithm: expected a name"),
        (HEAD.replace("q_learning", "mfq"), "mfq: needs a mean-field environment"),
        (
            HEAD.replace("q_learning", "q_lerning"),
            r"algorithm: expected one of \d+ names .*did you mean 'q_learning'",
        ),
        (
            HEAD.replace("matrix_game", "matrixgame"),
            r"environment: expected one of \d+ names .*did you mean 'matrix_game'",
        ),
    ],
)
def test_algorithm_and_environment_are_needed_and_fit(capsys, tmp_path, text, message):
    (tmp_path / "small.toml").write_text(text)
    assert re.search(message, complaint(capsys, tmp_path))


def complaint(capsys, tmp_path):
    """What is said of the file: one line that names it, and nothing is left behind."""
    with pytest.raises(SystemExit) as stop:
        main(["sweep", "small.toml", "--quiet"])
    _, err = capsys.readouterr()
    assert stop.value.code == 2
    assert err.startswith("error: small.toml: ")
    assert len(err.strip().splitlines()) == 1
    assert len(err) < 500
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]
    return err
