"""A battle through SuperSuit, learnt by Stable-Baselines3: what neither of them was written for.

Neither is in an extra of ours: `pip install supersuit stable-baselines3`.
"""

import numpy as np
import pytest

from jaxmarl_core.envs import battle
from jaxmarl_core.envs.interop import to_pettingzoo
from jaxmarl_core.envs.interop.extras import undisturbed

pytestmark = pytest.mark.slow

with undisturbed():
    supersuit = pytest.importorskip("supersuit", reason="needs supersuit")
    baselines = pytest.importorskip("stable_baselines3", reason="needs stable-baselines3")


@pytest.mark.filterwarnings("ignore")
def test_ppo_learns_a_battle():
    """The dead of a battle leave; to SuperSuit they stay, see nothing and are paid nothing."""
    world = battle(map_size=12, num_red=3, num_blue=3, max_steps=20, damage=5.0)
    env = supersuit.black_death_v3(to_pettingzoo(world, flatten=True))
    env = supersuit.pettingzoo_env_to_vec_env_v1(env)
    env = supersuit.concat_vec_envs_v1(env, 2, num_cpus=0, base_class="stable_baselines3")
    assert env.num_envs == 12
    baselines.common.utils.set_random_seed(0)  # SuperSuit's environments cannot be seeded by it
    model = baselines.PPO("MlpPolicy", env, n_steps=16, batch_size=48, n_epochs=2)
    before = [x.detach().numpy().copy() for x in model.policy.parameters()]
    model.learn(12 * 16 * 3)
    assert model.num_timesteps == 12 * 16 * 3
    after = [x.detach().numpy() for x in model.policy.parameters()]
    assert all(np.isfinite(x).all() for x in after)
    assert any((x != y).any() for x, y in zip(before, after))
    actions, _ = model.predict(env.reset())
    assert actions.shape == (12,)
    assert ((actions >= 0) & (actions < 21)).all()
