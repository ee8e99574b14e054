import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaxmarl_core.learners import networks
from jaxmarl_core.learners.networks import CNN, GRU, MLP, Torso
from jaxmarl_core.spaces import Box, Composite, Discrete, flat_size, flatten, zeros

KEY = jax.random.key(0)
MIXED = Composite({"image": Box((6, 5, 2)), "goal": Discrete(3), "speed": Box((2, 2))})


def draw(space, batch):
    """A random observation of `space` with leading axes `batch`."""
    keys = jax.random.split(KEY, batch)
    sample = space.sample
    for _ in batch:
        sample = jax.vmap(sample)
    return sample(keys)


def test_mlp_golden(variant):
    # relu of [1, 2] W_0 + b_0 = [3, -1] -> [3, 0]; then 3 * 2 + 0 * 5 + 1 = 7
    params = {
        "params": {
            "Dense_0": {"kernel": jnp.array([[1.0, 1.0], [1.0, -1.0]]), "bias": jnp.zeros(2)},
            "Dense_1": {"kernel": jnp.array([[2.0], [5.0]]), "bias": jnp.ones(1)},
        }
    }
    net = MLP((2, 1), nn.relu, activate_final=False)
    np.testing.assert_allclose(variant(net.apply)(params, jnp.array([1.0, 2.0])), [7.0])


def test_weights_start_with_the_stated_deviation():
    params = MLP((400,), gain=3.0).init(KEY, jnp.zeros(900))["params"]["Dense_0"]
    np.testing.assert_allclose(params["kernel"].std(), 3 / 30, rtol=0.01)
    np.testing.assert_array_equal(params["bias"], 0)
    head = networks.head(50).init(KEY, jnp.zeros(900))["params"]
    np.testing.assert_allclose(head["kernel"].std(), 0.01 / 30, rtol=0.02)


@pytest.mark.fast("3-2", "5-1")
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (2, 3), (1, 1), (5, 1)])
def test_cnn_is_a_convolution(kernel, stride):
    image = jax.random.normal(KEY, (2, 4, 9, 8, 3))
    net = CNN((6,), kernel, stride, activation=lambda x: x)
    params = jax.jit(net.init)(KEY, image)
    layer = params["params"]["Dense_0"]
    expected = jax.lax.conv_general_dilated(
        image.reshape(8, 9, 8, 3),
        layer["kernel"].reshape(kernel, kernel, 3, 6),
        (stride, stride),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    out = net.apply(params, image)
    np.testing.assert_allclose(out, expected.reshape(2, 4, -1), atol=1e-5)


def test_cnn_layers_match_flax():
    image = jax.random.normal(KEY, (3, 8, 9, 2))

    class Reference(nn.Module):
        @nn.compact
        def __call__(self, x):
            for size in (4, 5):
                x = nn.relu(nn.Conv(size, (3, 3), padding="VALID")(x))
            return x.reshape(*x.shape[:-3], -1)

    reference = Reference()
    theirs = jax.jit(reference.init)(KEY, image)
    ours = {
        f"Dense_{i}": {
            "kernel": theirs["params"][f"Conv_{i}"]["kernel"].reshape(-1, size),
            "bias": theirs["params"][f"Conv_{i}"]["bias"],
        }
        for i, size in enumerate((4, 5))
    }
    net = CNN((4, 5))
    np.testing.assert_allclose(
        net.apply({"params": ours}, image), reference.apply(theirs, image), atol=1e-5
    )
    runs = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), {"params": ours})
    np.testing.assert_allclose(
        jax.vmap(net.apply, (0, None))(runs, image)[0], reference.apply(theirs, image), atol=1e-5
    )


def test_cnn_says_when_nothing_is_left():
    with pytest.raises(ValueError, match=r"channels: expected .* got an input of 2 x 3"):
        CNN((4, 4)).init(KEY, jnp.zeros((4, 5, 1)))


def test_gru_is_flax_gru_cell():
    """Cho et al., 2014; flax names its gates' weights one by one, ours stand side by side."""
    memory, x = jax.random.normal(KEY, (2, 3)), jax.random.normal(KEY, (2, 4))
    net, cell = GRU(3), nn.GRUCell(3)
    params = jax.jit(net.init)(KEY, memory, x)
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)  # so that no bias is 0
    ours = params["params"]
    gates = lambda leaf: dict(zip("rzn", jnp.split(leaf, 3, -1)))
    weights, biases, hidden = (
        gates(leaf) for leaf in (ours["input"]["kernel"], ours["input"]["bias"], ours["recurrent"])
    )
    theirs = {f"i{g}": {"kernel": weights[g], "bias": biases[g]} for g in "rzn"}
    theirs |= {f"h{g}": {"kernel": hidden[g]} for g in "rzn"}
    theirs["hn"]["bias"] = ours["bias"]
    new_memory, out = net.apply(params, memory, x)
    np.testing.assert_allclose(out, cell.apply({"params": theirs}, memory, x)[0], atol=1e-6)
    np.testing.assert_array_equal(new_memory, out)


def test_flatten_golden(variant):
    observation = {
        "image": jnp.arange(60.0).reshape(6, 5, 2),
        "goal": jnp.int32(1),
        "speed": jnp.array([[1.0, 2.0], [3.0, 4.0]]),
    }
    flat = variant(lambda x: flatten(MIXED, x))(observation)
    np.testing.assert_array_equal(flat, [*range(60), 0, 1, 0, 1, 2, 3, 4])


@pytest.mark.parametrize("space", [Discrete(4), Box((2, 3)), MIXED, Box((3,), 0, 9, jnp.uint8)])
def test_flatten_keeps_leading_axes(space):
    flat = flatten(space, draw(space, (5, 2)))
    assert flat.shape == (5, 2, flat_size(space))
    assert flat.dtype == jnp.float32


@pytest.mark.fast("space1-channels1-7", "space4-channels4-0")
@pytest.mark.parametrize(
    ("space", "channels", "memory_size"),
    [
        (Discrete(4), (), 0),
        (Box((2, 3)), (4,), 7),
        (Box((6, 5, 2)), (4,), 7),
        (Box((6, 5, 2)), (), 0),
        (MIXED, (4,), 0),
    ],
)
def test_torso_is_the_same_under_any_leading_axes(space, channels, memory_size):
    torso = Torso(space, hidden=(8, 6), channels=channels, memory_size=memory_size)
    memory = networks.initial_memory(memory_size)
    params = jax.jit(torso.init)(KEY, memory, zeros(space))
    observation = draw(space, (3, 2))
    memories = networks.initial_memory(memory_size, (3, 2))
    new_memory, features = jax.jit(torso.apply)(params, memories, observation)
    assert features.shape == (3, 2, memory_size or 6)
    assert jax.tree.structure(new_memory) == jax.tree.structure(memories)
    one = jax.tree.map(lambda x: x[2, 1], observation)
    np.testing.assert_allclose(torso.apply(params, memory, one)[1], features[2, 1], atol=1e-5)
    assert ("CNN_0" in str(params)) == (bool(channels) and space in (Box((6, 5, 2)), MIXED))


def test_torso_without_layers_passes_the_observation_on():
    torso = Torso(Box((3,)), hidden=())
    x = jnp.array([1.0, 2.0, 3.0])
    assert torso.init(KEY, (), x) == {}
    np.testing.assert_array_equal(torso.apply({}, (), x)[1], x)


def test_initial_memory():
    assert networks.initial_memory(0, (3,)) == ()
    np.testing.assert_array_equal(networks.initial_memory(2, (3,)), np.zeros((3, 2)))


RESET = jnp.array([[0, 0], [1, 0], [0, 0], [1, 1], [0, 0], [0, 0]], bool)  # [T, B]


def by_hand(torso, params, memory, x, reset):
    """(final memory, features [T, B, n, F]), one step after another."""
    features = []
    for t in range(len(x)):
        memory = jnp.where(reset[t][:, None, None], 0, memory)
        memory, out = torso.apply(params, memory, x[t])
        features.append(out)
    return memory, jnp.stack(features)


@pytest.mark.fast("True")
@pytest.mark.parametrize("layer_norm", [False, True])
def test_along_time_is_stepping_by_hand_and_so_are_its_derivatives(layer_norm):
    """Each environment resets by itself; gradients by JAX's own derivative of the steps."""
    torso = Torso(Box((3,)), hidden=(5,), memory_size=4, layer_norm=layer_norm)
    x = jax.random.normal(KEY, (6, 2, 3, 3))  # [T, B, n, F]
    memory = jax.random.normal(KEY, (2, 3, 4))
    params = jax.jit(torso.init)(KEY, memory, x[0])
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    weight = jax.random.normal(jax.random.key(1), (6, 2, 3, 4))

    def loss(unroll):
        def total(params, memory, x):
            final, features = unroll(params, memory, x)
            return (final**2).sum() + (weight * features).sum(), (final, features)

        return jax.jit(jax.value_and_grad(total, (0, 1, 2), has_aux=True))(params, memory, x)

    ours = loss(lambda params, memory, x: torso.apply(params, memory, x, RESET))
    theirs = loss(lambda params, memory, x: by_hand(torso, params, memory, x, RESET))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, theirs)


def test_second_derivatives_along_time():
    """A trust region asks for the Hessian's product with a vector."""
    torso = Torso(Box((3,)), hidden=(), memory_size=2)
    x, memory = jax.random.normal(KEY, (6, 2, 1, 3)), jnp.zeros((2, 1, 2))
    params = jax.jit(torso.init)(KEY, memory, x[0])

    def product(unroll):
        loss = lambda p: (unroll(p)[1] ** 2).sum()
        slope = lambda p: sum((a * 0.3).sum() for a in jax.tree.leaves(jax.grad(loss)(p)))
        return jax.jit(jax.grad(slope))(params)

    ours = product(lambda p: torso.apply(p, memory, x, RESET))
    theirs = product(lambda p: by_hand(torso, p, memory, x, RESET))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, theirs)


def test_no_gradient_crosses_a_reset():
    torso = Torso(Box((3,)), hidden=(), memory_size=2)
    x, memory = jax.random.normal(KEY, (2, 1, 3)), jnp.zeros((1, 2))
    params = jax.jit(torso.init)(KEY, memory, x[0])
    last = lambda x, reset: torso.apply(params, memory, x, reset)[1][-1].sum()
    assert (jax.grad(last)(x, jnp.array([[False], [True]]))[0] == 0).all()
    assert (jax.grad(last)(x, jnp.array([[False], [False]]))[0] != 0).all()


def test_without_memory_time_is_one_more_axis():
    torso = Torso(Box((3,)), hidden=(2,))
    x = jax.random.normal(KEY, (5, 2, 3))
    params = jax.jit(torso.init)(KEY, (), x[0])
    memory, features = torso.apply(params, (), x, jnp.zeros((5, 2), bool))
    assert memory == ()
    np.testing.assert_allclose(features, torso.apply(params, (), x)[1])


def test_images_of_integers_are_scaled_by_their_box():
    """A pixel of 0 ... 255 is seen as 0 ... 1; integers without bounds are seen as they are."""
    image = jnp.array([[[0], [51]], [[102], [255]]], jnp.uint8)
    encoder = networks.Encoder(Box((2, 2, 1), 0, 255, jnp.uint8))
    np.testing.assert_allclose(encoder.apply({}, image), [0, 0.2, 0.4, 1], rtol=1e-6)
    plain = networks.Encoder(Box((2,), dtype=jnp.int32))
    np.testing.assert_allclose(plain.apply({}, jnp.array([3, -4])), [3.0, -4.0])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_normalised_layers_tell_small_observations_apart(activation):
    """sin(3 x), learnt from single numbers x; normalised themselves, all of them would be 0."""
    torso = Torso(
        Box((1,)), hidden=(16, 16), activation=networks.ACTIVATIONS[activation], layer_norm=True
    )
    x = jnp.linspace(-1, 1, 33)[:, None]
    params = {"torso": torso.init(KEY, (), x[0]), "head": jnp.zeros(16)}
    error = lambda params: (
        torso.apply(params["torso"], (), x)[1] @ params["head"] - jnp.sin(3 * x[:, 0])
    )
    rule = optax.adam(1e-2)

    def step(carry, _):
        params, opt_state = carry
        grads = jax.grad(lambda params: (error(params) ** 2).mean())(params)
        changes, opt_state = rule.update(grads, opt_state, params)
        return (optax.apply_updates(params, changes), opt_state), None

    learn = jax.jit(lambda start: jax.lax.scan(step, start, length=1000)[0][0])
    assert jnp.abs(error(learn((params, rule.init(params))))).max() < 0.1


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_a_gru_takes_inputs_and_memory_of_another_precision(dtype):
    gru, x, memory = networks.GRU(4), jnp.ones((3, 2, 5)), jnp.ones((2, 4))
    reset = jnp.zeros((3, 2), bool)
    params = gru.init(jax.random.key(0), memory, x, reset)
    wanted = networks.apply(gru, params, memory, x, reset)
    for given in ((memory.astype(dtype), x), (memory, x.astype(dtype))):
        for found, truth in zip(networks.apply(gru, params, *given, reset), wanted):
            assert found.dtype == jnp.float32
            np.testing.assert_allclose(found, truth, rtol=1e-2)


def test_a_grus_weights_are_single_under_x64():
    with jax.enable_x64(True):
        params = networks.GRU(4).init(jax.random.key(0), jnp.ones(4), jnp.ones(5))
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("float32")}
