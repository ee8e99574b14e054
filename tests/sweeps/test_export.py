"""An exported policy: what is written, what is read back, and what is refused."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from small_sweeps import trained_game

from jaxmarl_core import load_policy
from jaxmarl_core.cli import main
from jaxmarl_core.store.policy_function import differences
from jaxmarl_core.sweeps.export import export_policy
from jaxmarl_core.sweeps.saved_run import in_world, load_run


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(the sweep's folder, the folder of its run 2)"""
    game, out = trained_game(), tmp_path_factory.mktemp("export") / "policy"
    main(["export", str(game), "--run", "2", "--out", str(out)])
    return game, out


def test_what_is_written(exported):
    _, out = exported
    names = sorted(path.name for path in out.iterdir())
    assert names == ["params.safetensors", "policy.json", "policy.stablehlo"]
    said = json.loads((out / "policy.json").read_text())
    assert said["algorithm"] == "q_learning" and said["run"] == 2
    assert said["environment_options"] == {"num_rounds": 3}
    assert said["hparams"]["learning_rate"] == 0.2
    assert said["function"]["outputs"]["action.player_0"] == {
        "shape": ["batch", 1], "dtype": "int32"
    }  # fmt: skip


def test_it_is_read_back_bit_for_bit(exported):
    game, out = exported
    policy, params, env = load_policy(out)
    _, expected, _ = load_policy(game, 2)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, params, expected)))
    _, timestep = env.reset(jax.random.key(0))
    actions, _ = policy.greedy(params, jax.random.key(0), timestep, policy.memory())
    assert all(env.groups[name].action.contains(x) for name, x in actions.items())


def test_it_plays_in_another_world(exported):
    _, out = exported
    longer = in_world(load_run(out), {"num_rounds": 5})
    assert (longer.env.num_rounds, longer.description["run"]) == (5, 2)


def test_it_can_be_evaluated_like_a_sweep(exported, capsys):
    game, out = exported
    main(["evaluate", str(out), "--episodes", "2", "--against", str(game)])
    assert "policy, run 2" in capsys.readouterr().out


def test_numbers_that_do_not_fit_are_refused_by_name(exported, tmp_path):
    _, out = exported
    for name in ("policy.json", "params.safetensors"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    arrays = load_file(tmp_path / "params.safetensors")
    first, *_ = [name for name in arrays if name.endswith("q")]
    for wrong in (arrays[first][..., :1], arrays[first].astype(np.float64)):
        save_file(arrays | {first: np.ascontiguousarray(wrong)}, tmp_path / "params.safetensors")
        with pytest.raises(ValueError, match=rf"params.safetensors: expected {first} as float32"):
            load_policy(tmp_path)
    save_file({k: v for k, v in arrays.items() if k != first}, tmp_path / "params.safetensors")
    with pytest.raises(ValueError, match=f"expected an array '{first}', got none"):
        load_policy(tmp_path)
    (tmp_path / "params.safetensors").write_bytes(b"\x80\x04K\x01.")  # a pickle
    with pytest.raises(ValueError, match=r"params.safetensors: expected safetensors"):
        load_policy(tmp_path)
    (tmp_path / "policy.json").write_text("{}")
    with pytest.raises(ValueError, match=r'policy.json: expected "format": "jaxmarl-core policy'):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--formats", "onx"], "did you mean 'onnx'"),
        (["--out", "."], "out: expected a new folder"),
    ],
)
def test_mistakes_are_refused(exported, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(SystemExit):
        main(["export", str(exported[0]), *arguments])
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_onnx_is_written_and_checked(exported, tmp_path):
    pytest.importorskip("jax2onnx")
    distances = export_policy(load_run(exported[0]), tmp_path / "policy", ["onnx"])
    assert distances == {"onnx": 0.0}
    assert (tmp_path / "policy" / "policy.onnx").stat().st_size > 0
    assert differences({"a": np.zeros(1)}, {"a": np.zeros(1)}) == {"a": 0.0}
