"""MAgent's own engine, as the lockstep tests drive it: raw, so that every agent gets its action.

Attack orders are drawn as the engine draws them on Linux: the minimal standard generator and an
inside-out shuffle over the attackers in the order of their submission.
"""

import warnings

import numpy as np
import pytest


class EngineOrder:
    """Draws attack orders as the engine does; its generator cannot start from 0."""

    def __init__(self, seed=0):
        self.state = seed or 1

    def ranks(self, attackers, num_agents):
        """Returns [num_agents] int32, the place of each of `attackers` in the order of attacks."""
        order = []
        for i, attacker in enumerate(attackers):
            order.append(attacker)
            self.state = 16807 * self.state % (2**31 - 1)
            j = self.state % (i + 1)
            order[i], order[j] = order[j], order[i]
        ranks = np.zeros(num_agents, np.int32)
        ranks[order] = np.arange(len(order))
        return ranks


class Engine:
    """A game of MAgent2 whose agents are told apart by their ids, which count from 0."""

    def __init__(self, game, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its imports warn of their own age
            module = pytest.importorskip(f"magent2.environments.{game}.{game}")
            numbers = dict(getattr(module, "default_reward_args", None) or module.default_env_args)
            numbers |= {name: options.pop(name) for name in numbers if name in options}
            theirs = module._parallel_env(
                **{"reward_args": numbers, "max_cycles": 1, "extra_features": True} | options
            )
            theirs.reset(seed=options.get("seed"))
        self.env = theirs.env
        self.handles = self.env.get_handles()
        self.num_agents = sum(self.env.get_num(handle) for handle in self.handles)

    def walls(self):
        """Returns the cells (x, y) of walls within the ring."""
        cells = {tuple(cell) for cell in self.env._get_walls_info().tolist()}
        last = max(x for x, _ in cells)
        return sorted(cell for cell in cells if min(cell) > 0 and max(cell) < last)

    def positions(self):
        """Returns the listed agents' cells, [N, 2] int32; zero for the others."""
        return self._joined(self.env.get_pos, (2,), np.int32)

    def alive(self):
        """Returns [N] bool, false for those not listed."""
        return self._joined(self.env.get_alive, (), bool)

    def rewards(self):
        """Returns [N] f32, zero for those not listed."""
        return self._joined(self.env.get_reward, (), np.float32)

    def ids(self, group):
        """Returns the ids of the listed members of a group."""
        return self.env.get_agent_id(self.handles[group])

    def observation(self, group):
        """Returns views and features of the listed members of a group."""
        return self.env.get_observation(self.handles[group])

    def step(self, action):
        """Plays `action` [N]; returns whether the game is over."""
        for handle in self.handles:
            ids = self.env.get_agent_id(handle)
            self.env.set_action(handle, np.ascontiguousarray(action[ids], np.int32))
        return self.env.step()

    def _joined(self, read, shape, dtype):
        rows = np.zeros((self.num_agents, *shape), dtype)
        for handle in self.handles:
            rows[self.env.get_agent_id(handle)] = read(handle)
        return rows


def assert_sees_the_same(ours, theirs, group, first, atol=1e-6):
    """Checks the rows of a group; those that it does not list must be blank with us.

    `first` is the id of the group's first member.
    """
    rows = theirs.ids(group) - first
    view, features = theirs.observation(group)
    np.testing.assert_allclose(np.asarray(ours["view"])[rows], view, atol=atol, rtol=0)
    np.testing.assert_allclose(np.asarray(ours["features"])[rows], features, atol=atol, rtol=0)
    for part in ("view", "features"):
        assert not np.delete(np.asarray(ours[part]), rows, 0).any()
