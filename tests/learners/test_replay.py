"""The ring buffer against a plain Python deque."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxmarl_core.learners import replay

BLOCK, CAPACITY = 3, 12
ENTRY = {"t": jax.ShapeDtypeStruct((), jnp.int32), "x": jnp.zeros((2, 5))}
write = jax.jit(replay.write_block)
sample_transitions = jax.jit(replay.sample_transitions, static_argnums=(2, 4))
NO_END = np.zeros((CAPACITY, 2), bool)
LATE = 1_000_000_000  # blocks: 3e9 entries, more than an int32 counts


def block(index):
    """Entries numbered in order of time; x[t, b, n] = 100 t + 10 b + n."""
    t = index * BLOCK + jnp.arange(BLOCK)
    x = 100.0 * t[:, None, None] + 10 * jnp.arange(2)[:, None] + jnp.arange(5)
    return {"t": t, "x": x}


def after(num_blocks):
    """(buffer, deque of the times it should hold) after so many blocks."""
    buffer, expected = replay.empty_buffer(ENTRY, CAPACITY, BLOCK), deque(maxlen=CAPACITY)
    for index in range(num_blocks):
        buffer = write(buffer, block(index), jnp.int32(index))
        expected.extend(np.asarray(block(index)["t"]).tolist())
    return buffer, expected


def test_an_empty_buffer_has_the_shape_and_dtype_of_its_entries():
    buffer = replay.empty_buffer(ENTRY, CAPACITY, BLOCK)
    assert (buffer["t"].shape, buffer["t"].dtype) == ((CAPACITY,), jnp.int32)
    assert (buffer["x"].shape, buffer["x"].dtype) == ((CAPACITY, 2, 5), jnp.float32)


@pytest.mark.parametrize("num_blocks", [1, 3, 4, 5, 11])
def test_holds_the_newest_entries(num_blocks):
    buffer, expected = after(num_blocks)
    held = sorted(np.asarray(buffer["t"]).tolist())
    zeros = [0] * (CAPACITY - len(expected))  # not written yet
    assert held == sorted(zeros + list(expected))


@pytest.mark.parametrize("num_blocks", [1, 2, 4, 5, 7])
def test_draws_entries_whose_successor_is_stored_uniformly(num_blocks):
    buffer, expected = after(num_blocks)
    times, envs = sample_transitions(jax.random.key(0), NO_END, BLOCK, num_blocks - 1, 6000)
    drawn = np.asarray(replay.gather(buffer, times)["t"])
    following = np.asarray(replay.gather(buffer, times + 1)["t"])
    np.testing.assert_array_equal(following, drawn + 1)
    allowed = list(expected)[:-1]  # the newest has no successor yet
    assert set(drawn.tolist()) == set(allowed)
    counts = [np.sum((drawn == t) & (envs == b)) for t in allowed for b in range(2)]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_step_after_an_end_is_never_drawn():
    """Of two environments: the ends of one in entries 4, 8 and 11, of the other in entry 5."""
    last = NO_END.copy()
    last[[4, 8, 11], 0], last[5, 1] = True, True
    times, envs = sample_transitions(jax.random.key(0), last, BLOCK, 4, 6000)  # 0 to 2: 12 to 14
    allowed = [(t, b) for t in range(CAPACITY) for b in range(2) if t != 2 and not last[t, b]]
    drawn = list(zip(np.asarray(times).tolist(), np.asarray(envs).tolist()))
    assert set(drawn) == set(allowed)
    assert stats.chisquare([drawn.count(which) for which in allowed]).pvalue > 1e-3


@pytest.mark.parametrize("filled", [False, True])
def test_where_no_transition_was_played_one_is_drawn_that_no_loss_counts(filled):
    """One entry so far; or ends in every entry with a successor. Entry 1 is unwritten or an end."""
    last = np.array([[False], [filled]])
    times, _ = sample_transitions(jax.random.key(0), last, 1, 2 if filled else 0, 5)
    np.testing.assert_array_equal(times, 1)


def test_after_three_billion_entries_the_ring_goes_on():
    """Blocks 1e9 and 1e9 + 1 are written first and second, and the newest entry is not drawn."""
    buffer, _ = after(4)
    for index in (LATE, LATE + 1):
        new = block(index - LATE + 100)  # from 300 on
        buffer = write(buffer, new, jnp.int32(index))
    np.testing.assert_array_equal(buffer["t"], [*range(300, 306), *range(6, 12)])
    np.testing.assert_array_equal(replay.block_start(buffer, jnp.int32(LATE + 1), BLOCK), 3)
    times, _ = sample_transitions(jax.random.key(0), NO_END, BLOCK, LATE + 1, 2000)
    assert set(np.asarray(times).tolist()) == set(range(CAPACITY)) - {5}
    drawn = replay.sample_uniform(jax.random.key(0), buffer, BLOCK, jnp.int32(LATE), 2000)
    assert set(np.asarray(drawn).tolist()) == set(range(CAPACITY))


@pytest.mark.parametrize(
    ("update_index", "learning_starts", "started"),
    [(0, 0.0, True), (3, 40.0, True), (3, 41.0, False), (4, 41.0, True), (LATE, 2e10, False)],
)
def test_learning_starts_when_so_many_steps_were_played(update_index, learning_starts, started):
    """Ten steps an update, those of the update itself among them."""
    found = replay.learning_has_started(jnp.int32(update_index), 10, learning_starts)
    assert bool(found) == started


def test_the_seam_is_crossed():
    """After 5 blocks the newest are at the front; entry 11, at the end, is followed by entry 12."""
    buffer, _ = after(5)
    np.testing.assert_array_equal(buffer["t"][:4], [12, 13, 14, 3])
    assert buffer["t"][CAPACITY - 1] == 11
    assert replay.gather(buffer, jnp.array([CAPACITY]))["t"] == 12


def test_gather_picks_one_environment_and_agent():
    buffer, _ = after(2)
    gathered = replay.gather(
        {"x": buffer["x"]}, jnp.array([1, 5]), jnp.array([0, 1]), jnp.array([4, 2])
    )
    np.testing.assert_array_equal(gathered["x"], [104.0, 512.0])


def test_each_run_of_a_batch_has_a_buffer_of_its_own():
    one = replay.empty_buffer({"t": ENTRY["t"]}, 6, BLOCK)
    many = jax.tree.map(lambda x: jnp.stack([x, x + 7]), one)
    blocks = {"t": jnp.array([[1, 2, 3], [4, 5, 6]])}
    stored = jax.vmap(replay.write_block, (0, 0, None))(many, blocks, jnp.int32(1))
    np.testing.assert_array_equal(stored["t"], [[0, 0, 0, 1, 2, 3], [7, 7, 7, 4, 5, 6]])


def test_runs_that_share_the_block_index_write_in_place():
    """No scatter, which would make the write about ten times as slow."""
    many = jax.tree.map(lambda x: jnp.stack([x, x]), replay.empty_buffer(ENTRY, CAPACITY, BLOCK))
    blocks = jax.tree.map(lambda x: jnp.stack([x, x]), block(0))
    runs = jax.jit(jax.vmap(replay.write_block, (0, 0, None)), donate_argnums=0)
    program = runs.lower(many, blocks, jnp.int32(0)).compile().as_text()
    assert "dynamic-update-slice(" in program
    assert "scatter(" not in program
    assert "copy(" not in program


def test_writing_keeps_dtypes():
    buffer = write(replay.empty_buffer(ENTRY, CAPACITY, BLOCK), jax.tree.map(
        lambda x: x.astype(jnp.float16), block(0)), jnp.int32(0))  # fmt: skip
    assert (buffer["t"].dtype, buffer["x"].dtype) == (jnp.int32, jnp.float32)


@pytest.mark.parametrize(
    ("capacity", "length", "message"),
    [
        (
            10,
            3,
            r"capacity: expected at least 2 and a multiple of the block's length \(3\), got 10",
        ),
        (1, 1, "capacity: expected at least 2"),
        (0, 3, "capacity: expected at least 2"),
        (4, 0, "block_length: expected at least 1, got 0"),
    ],
)
def test_a_buffer_that_cannot_be_is_refused(capacity, length, message):
    with pytest.raises(ValueError, match=message):
        replay.empty_buffer(ENTRY, capacity, length)


def test_some_agents_of_one_entry_are_written():
    stored = {"x": jnp.zeros((6, 2, 5, 3))}  # 6 entries, 2 environments, 5 agents
    new = {"x": jnp.arange(12.0).reshape(2, 2, 3)}
    expected = np.zeros((6, 2, 5, 3))
    expected[4, :, 3:5] = new["x"]
    written = jax.jit(replay.write_entry, static_argnums=3)(stored, new, jnp.int32(4), 3)["x"]
    np.testing.assert_array_equal(written, expected)


@pytest.mark.parametrize("times", [4, [4, 1]])
def test_under_vmap_each_run_writes_where_it_says(times):
    stored = {"x": jnp.zeros((2, 6, 1, 5, 3))}
    new = {"x": jnp.arange(12.0).reshape(2, 1, 2, 3)}
    axis = None if np.ndim(times) == 0 else 0
    put = jax.vmap(lambda s, n, t: replay.write_entry(s, n, t, 1), (0, 0, axis))
    expected = np.zeros((2, 6, 1, 5, 3))
    for run, time in enumerate(np.broadcast_to(times, 2)):
        expected[run, time, :, 1:3] = new["x"][run]
    np.testing.assert_array_equal(jax.jit(put)(stored, new, jnp.asarray(times))["x"], expected)


def test_writing_an_entry_stays_a_slice_for_a_batch_of_runs():
    stored, new = {"x": jnp.zeros((3, 8, 2, 5))}, {"x": jnp.ones((3, 2, 5))}
    put = jax.vmap(jax.vmap(replay.write_entry, (0, 0, None)), (0, 0, None))
    many = jax.tree.map(lambda x: jnp.stack([x, x]), (stored, new))
    text = jax.jit(put).lower(*many, jnp.int32(0)).as_text()
    assert "dynamic_update_slice" in text
    assert "scatter" not in text


def test_where_a_block_begins():
    buffer = {"x": jnp.zeros((12, 1))}
    starts = [int(replay.block_start(buffer, jnp.int32(i), 4)) for i in range(4)]
    assert starts == [0, 4, 8, 0]


def test_draws_stored_entries_uniformly():
    buffer = {"x": jnp.arange(8.0)}
    for index, filled in ((0, 2), (1, 4), (9, 8)):
        where = replay.sample_uniform(jax.random.key(1), buffer, 2, jnp.int32(index), 4000)
        counts = np.bincount(where, minlength=8)
        assert (counts[filled:] == 0).all()
        assert stats.chisquare(counts[:filled]).pvalue > 1e-3


def test_what_is_new_has_the_highest_priority():
    """The first block has priority 1; a later one the highest that there is."""
    priority = replay.prioritise_newest(replay.empty_priorities(6), 2, jnp.int32(0))
    np.testing.assert_array_equal(priority, [1, 1, 0, 0, 0, 0])
    learnt = priority.at[0].set(0.25).at[1].set(3.0)
    np.testing.assert_array_equal(
        replay.prioritise_newest(learnt, 2, jnp.int32(1)), [0.25, 3, 3, 3, 0, 0]
    )
    low = jnp.array([0.1, 0.2, 0.3, 0.1, 0.1, 0.1])
    newest = replay.prioritise_newest(low, 2, jnp.int32(3))  # over the oldest block
    np.testing.assert_allclose(newest, [0.3, 0.3, 0.3, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(("exponent", "importance"), [(0.0, 1.0), (0.6, 0.4), (1.0, 1.0)])
def test_draws_in_proportion_to_priorities(exponent, importance):
    """Schaul et al., 2016: P(i) = p_i^a / sum, w_i = (N P(i))^-b over its maximum."""
    priority = np.array([0.5, 4.0, 0.0, 1.0, 2.0, 0.0])
    size, where, weight = 200, [], []
    draw = jax.jit(replay.sample_prioritised, static_argnums=2)
    for seed in range(50):
        one = draw(jax.random.key(seed), jnp.float32(priority), size, exponent, importance)
        where.append(one[0])
        weight.append(one[1])
    where, weight = np.concatenate(where), np.concatenate(weight)
    stored = np.flatnonzero(priority)
    probs = priority[stored] ** exponent / (priority[stored] ** exponent).sum()
    counts = np.bincount(where, minlength=6)
    assert counts[[2, 5]].sum() == 0
    # equal shares are drawn from once each: every count is within one of its mean, each time
    np.testing.assert_allclose(counts[stored] / 50, size * probs, atol=1.0)
    plain = dict(zip(stored, (len(stored) * probs) ** -importance))
    expected = np.array([plain[i] for i in where]) / max(plain.values())
    np.testing.assert_allclose(weight, expected, rtol=1e-5)


def test_the_last_share_is_drawn_from_what_is_stored():
    """However the sum was rounded: no draw falls on the empty places behind."""
    priority = jnp.where(jnp.arange(1000) < 700, 0.1, 0.0)
    for seed in range(20):
        where, _ = replay.sample_prioritised(jax.random.key(seed), priority, 64, 0.6, 0.4)
        assert where.max() < 700


def test_memory_is_told_and_refused():
    buffer = {"x": jax.ShapeDtypeStruct((10, 3), jnp.float32), "n": jnp.zeros(10, bool)}
    assert replay.num_bytes(buffer) == 10 * 3 * 4 + 10
    replay.require_memory("capacity", 10, buffer)
    assert 0 < replay.available_bytes() < 2**50
    most = jax.ShapeDtypeStruct((2**40, 1024), jnp.float32)
    message = r"buffer_length: expected at most \d+, .* left .*, got 1099511627776, which take"
    with pytest.raises(ValueError, match=message):
        replay.require_memory("buffer_length", 2**40, most)
    with replay.only_to_play():  # who plays what was learnt elsewhere needs none
        replay.require_memory("buffer_length", 2**40, most)
    with pytest.raises(ValueError, match=message):
        replay.require_memory("buffer_length", 2**40, most)


@pytest.mark.parametrize("num_blocks", [2, 4, 7])
@pytest.mark.parametrize("length", [1, 4])
def test_sequences_are_whole_and_drawn_uniformly(num_blocks, length):
    buffer, expected = after(num_blocks)
    newest = jnp.int32(num_blocks - 1)
    draw = jax.jit(replay.sample_sequences, static_argnums=(2, 4, 5))
    start = draw(jax.random.key(1), buffer, BLOCK, newest, 6000, length)
    environment = jnp.arange(6000) % 2
    found = replay.gather_sequences({"x": buffer["x"]}, start, length, environment)["x"]
    assert found.shape == (6000, length, 5)
    first = np.asarray(replay.gather_sequences({"t": buffer["t"]}, start, length)["t"])
    np.testing.assert_array_equal(first - first[:, :1], np.tile(np.arange(length), (6000, 1)))
    np.testing.assert_array_equal(found[:, :, 0], 100 * first + 10 * (np.arange(6000) % 2)[:, None])
    allowed = list(expected)[: len(expected) - length + 1]
    counts = np.array([np.sum(first[:, 0] == t) for t in allowed])
    assert counts.sum() == 6000 and stats.chisquare(counts).pvalue > 1e-3


def test_without_priorities_nothing_weighs():
    """Where the quotient of two zeros or an infinite one would be learnt from."""
    _, weight = replay.sample_prioritised(jax.random.key(0), jnp.zeros(4), 3, 0.5, 0.5)
    np.testing.assert_array_equal(weight, 0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        # five of twelve would be moved back by two once they reach the end
        (lambda b: replay.write_block(b, jax.tree.map(lambda x: x[:5], b), 0), "block"),
        (lambda b: replay.write_block(b, {"t": b["t"][:3], "x": b["x"][:3, :1]}, 0), "block"),
        (lambda b: replay.write_block(b, {"t": b["t"][:3]}, 0), "block"),
        (lambda b: replay.write_entry(b["x"][..., None], jnp.ones((2, 3, 1)), 0, 4), "entry"),
        (lambda b: replay.write_entry(b["x"][..., None], jnp.ones((1, 3, 1)), 0), "entry"),
        (lambda b: replay.sample_sequences(jax.random.key(0), b, BLOCK, 9, 4, 13), "length"),
        (lambda b: replay.gather(b["t"], jnp.ones(2, int), jnp.ones(2, int)), "positions"),
        (
            lambda b: replay.sample_prioritised(jax.random.key(0), b["x"], 3, 0.5, 0.5),
            "priority",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=f"^{words}: expected"):
        jax.eval_shape(call, replay.empty_buffer(ENTRY, CAPACITY, BLOCK))
