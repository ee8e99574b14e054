import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.store import sweep_folder


def make_runs(indices, clip=0.1):
    return [
        {"run": i, "seed": i, "hparams": {"clip": clip}, "static": {"envs": 8}} for i in indices
    ]


def random_metrics(num_runs, num_updates, seed=0):
    rng = np.random.default_rng(seed)
    loss = rng.normal(size=(num_runs, num_updates)).astype(np.float32)
    return {"loss": loss, "finite": np.ones_like(loss)}


def chunk(metrics, start, stop):
    return {name: values[:, start:stop] for name, values in metrics.items()}


@pytest.fixture
def out(tmp_path):
    return sweep_folder.create(tmp_path / "deep" / "out", {"algorithm": "mfq"}, {"note": "a test"})


def test_create_writes_spec_and_facts(out):
    assert sweep_folder.read_spec(out) == {"algorithm": "mfq"}
    facts = sweep_folder.read(out).facts
    assert {"python", "jax", "flax", "optax", "numpy", "jaxmarl-core"} <= set(facts["versions"])
    assert facts["note"] == "a test" and "cpu" in facts["device"] and facts["host_cores"] >= 1


def test_a_folder_with_something_in_it_is_refused(out, tmp_path):
    with pytest.raises(ValueError, match=r"out: expected a new folder, got .*--resume"):
        sweep_folder.create(out, {})
    assert sweep_folder.read_spec(out) == {"algorithm": "mfq"}
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="out: expected a new folder"):
        sweep_folder.create(tmp_path / "file", {})
    (tmp_path / "empty").mkdir()
    sweep_folder.create(tmp_path / "empty", {})


def test_a_folder_without_a_spec_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"out: expected the folder of a sweep"):
        sweep_folder.read(tmp_path)


def test_segments_round_trip_bit_for_bit(out):
    metrics = random_metrics(3, 7)
    odd = np.array([0x7FC01234, 0x80000000, 0x00000001, 0x7F800000], np.uint32).view(np.float32)
    metrics["loss"][0, :4] = odd  # a NaN with a payload, -0, the smallest number, infinity
    metrics["file"] = metrics["seconds"] = metrics["a/b c"] = metrics["loss"][:, ::-1]
    sweep_folder.write_runs(out / "part-000", make_runs(range(3)))
    for start in (0, 3, 6):
        segment = chunk(metrics, start, start + 3)
        sweep_folder.write_segment(out / "part-000", start, segment, seconds=1.5)
    results = sweep_folder.read(out)
    assert set(results.metrics) == set(metrics)
    for name, values in metrics.items():
        assert results.metrics[name].dtype == np.float32
        assert results.metrics[name].tobytes() == values.tobytes()
    assert results.seconds == 4.5
    np.testing.assert_array_equal(results.diverged_at, [0, -1, -1])


def test_parts_are_put_together_by_run(out):
    first, second = random_metrics(2, 6, seed=1), random_metrics(2, 4, seed=2)
    second["eval_return"] = second["loss"]
    second["finite"][1, 3] = 0
    sweep_folder.write_runs(out / "part-000", make_runs([3, 0]))
    sweep_folder.write_runs(out / "part-001", make_runs([1, 2], clip=0.2))
    sweep_folder.write_runs(out / "part-002", make_runs([4]))  # has not begun
    sweep_folder.write_segment(out / "part-000", 0, first)
    sweep_folder.write_segment(out / "part-001", 0, second)
    results = sweep_folder.read(out)
    assert [run["run"] for run in results.runs] == [0, 1, 2, 3, 4]
    assert [run["hparams"]["clip"] for run in results.runs] == [0.1, 0.2, 0.2, 0.1, 0.1]
    np.testing.assert_array_equal(results.num_updates_done, [6, 4, 4, 6, 0])
    np.testing.assert_array_equal(results.diverged_at, [-1, -1, 3, -1, -1])
    loss = results.metrics["loss"]
    np.testing.assert_array_equal(loss[[3, 0]], first["loss"])
    np.testing.assert_array_equal(loss[1:3, :4], second["loss"])
    assert np.isnan(loss[1:3, 4:]).all() and np.isnan(loss[4]).all()
    assert np.isnan(results.metrics["eval_return"][0]).all()


def test_what_was_once_not_finite_stays_so_in_later_segments(out):
    """Run 0 is not finite in update 1 of segment 0; a program's later calls know nothing of it."""
    metrics = random_metrics(2, 6)
    metrics["finite"][0, 1] = 0
    sweep_folder.write_runs(out / "part-000", make_runs([0, 1]))
    for first in (0, 3):
        sweep_folder.write_segment(out / "part-000", first, chunk(metrics, first, first + 3))
    read = sweep_folder.read(out)
    np.testing.assert_array_equal(read.metrics["finite"], [[1, 0, 0, 0, 0, 0], [1] * 6])
    np.testing.assert_array_equal(sweep_folder.diverged(out / "part-000", 6), [True, False])
    np.testing.assert_array_equal(sweep_folder.diverged(out / "part-000", 1), [False, False])
    np.testing.assert_array_equal(sweep_folder.diverged(out / "part-000", 0), [False, False])


def test_nothing_done_yet(out):
    sweep_folder.write_runs(out / "part-000", make_runs([0]))
    results = sweep_folder.read(out)
    assert results.metrics == {} and results.num_updates_done.tolist() == [0]


def test_a_segment_done_again_counts_once(out):
    metrics = random_metrics(2, 10)
    sweep_folder.write_runs(out / "part-000", make_runs(range(2)))
    for start, stop in ((0, 4), (4, 8), (4, 8), (6, 10)):  # twice, then with a shifted start
        sweep_folder.write_segment(out / "part-000", start, chunk(metrics, start, stop))
    names = sorted(path.name for path in (out / "part-000").glob("*.npz"))
    assert names == [f"metrics-00000{first}.npz" for first in (0, 4, 6)]
    results = sweep_folder.read(out)
    np.testing.assert_array_equal(results.metrics["loss"], metrics["loss"])


def test_a_shorter_segment_inside_a_longer_one_keeps_the_rest(out):
    metrics = random_metrics(2, 10)
    sweep_folder.write_runs(out / "part-000", make_runs(range(2)))
    for start, stop in ((0, 10), (3, 5)):
        sweep_folder.write_segment(out / "part-000", start, chunk(metrics, start, stop))
    np.testing.assert_array_equal(sweep_folder.read(out).metrics["loss"], metrics["loss"])


def test_many_updates_sort_by_number(out):
    metrics = random_metrics(1, 4)
    sweep_folder.write_runs(out / "part-000", make_runs([0]))
    sweep_folder.write_segment(out / "part-000", 0, {"loss": np.zeros((1, 999_999))})
    sweep_folder.write_segment(out / "part-000", 999_999, {"loss": metrics["loss"][:, :1]})
    sweep_folder.write_segment(out / "part-000", 1_000_000, {"loss": metrics["loss"][:, 1:]})
    np.testing.assert_array_equal(
        sweep_folder.read(out).metrics["loss"][:, 999_999:], metrics["loss"]
    )


def test_leftover_temporary_files_are_ignored(out):
    sweep_folder.write_runs(out / "part-000", make_runs([0]))
    sweep_folder.write_segment(out / "part-000", 0, random_metrics(1, 2))
    (out / "part-000" / ".metrics-000002.npz-abc.tmp").write_bytes(b"half a fi")
    (out / ".spec.json-abc.tmp").write_bytes(b"{")
    assert sweep_folder.read(out).num_updates_done.tolist() == [2]


def test_a_missing_segment_is_an_error(out):
    sweep_folder.write_runs(out / "part-000", make_runs([0]))
    sweep_folder.write_segment(out / "part-000", 5, random_metrics(1, 2))
    with pytest.raises(ValueError, match="part-000: expected a segment from update 0, got the"):
        sweep_folder.read(out)


def test_the_rows_of_a_part_never_change(out):
    sweep_folder.write_runs(out / "part-000", make_runs([0, 1]))
    sweep_folder.write_runs(out / "part-000", make_runs([0, 1]))
    with pytest.raises(ValueError, match="runs: expected the rows that part-000 already has"):
        sweep_folder.write_runs(out / "part-000", make_runs([0, 2]))
    sweep_folder.write_runs(out / "part-001", make_runs([1]))
    with pytest.raises(ValueError, match="runs: expected each index once"):
        sweep_folder.read(out)


def test_wrong_metrics_are_refused(out):
    sweep_folder.write_runs(out / "part-000", make_runs([0, 1]))
    for bad in (random_metrics(3, 2), {"loss": np.zeros(2)}, {"loss": np.zeros((2, 0))}, {}):
        with pytest.raises(ValueError, match=r"metrics: expected arrays \[2, k\] of one shape"):
            sweep_folder.write_segment(out / "part-000", 0, bad)
    with pytest.raises(ValueError, match="part: expected a folder with"):
        sweep_folder.write_segment(out / "part-001", 0, random_metrics(1, 2))
    run = make_runs([0])[0] | {"static": {"clip": 1}}
    with pytest.raises(ValueError, match="runs: expected each option static or an hparam"):
        sweep_folder.write_runs(out / "part-002", [run])


def test_numbers_are_written_short_and_exact(out):
    value = np.float32(3e-4)
    run = {"run": np.int64(0), "seed": 1, "static": {"path": out}}
    run["hparams"] = {"a": value, "b": jnp.float32(0.1), "c": np.array([0.1, 0.2])}
    sweep_folder.write_runs(out / "part-000", [run])
    (read,) = json.loads((out / "part-000" / "runs.json").read_text())
    assert read["hparams"] == {"a": 0.0003, "b": 0.1, "c": [0.1, 0.2]}
    assert np.float32(read["hparams"]["a"]) == value and read["run"] == 0
    with pytest.raises(TypeError, match="spec: expected what JSON can hold"):
        sweep_folder.write_runs(out / "part-001", [run | {"static": {"f": print}}])
