"""The phases of a tabular update, each on its own: who learns, what they do, learn and are told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import DyingAgents, MixedGroups, Sacrifice

from jaxmarl_core.algos import (
    ALGORITHMS,
    hysteretic_q,
    opponent_modelling_q,
    q_learning,
    sarsa,
    team_q,
)
from jaxmarl_core.algos.tabular import engine
from jaxmarl_core.algos.tabular.build import build
from jaxmarl_core.algos.tabular.engine import Config, Decision, Params, Step
from jaxmarl_core.algos.tabular.hparams import Hparams
from jaxmarl_core.algos.tabular.q_learning import rule as q_rule
from jaxmarl_core.algos.tabular.rates import Values
from jaxmarl_core.algos.tabular.rules import Rule
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.registry import config_type
from jaxmarl_core.train import Schedule, make_train

TEAM = matrix_game("climbing", num_rounds=None)  # one group of two
PAIR = matrix_game("prisoners_dilemma", num_rounds=None)  # two groups
KEY = jax.random.key(0)


def constant_rule(info, **fields):
    """An informed player whose entry, [A], is what it draws from; greedy, it plays action 0."""
    count = info.num_actions[info.player]
    told = lambda entry, next_entry, t, hp: (entry + t.rewards.sum(), {"told": t.rewards[0]})
    rule = Rule(
        init=lambda key, hp: jnp.full(count, 1 / count),
        strategy=lambda entry, mask, exploration: entry,
        greedy=lambda entry, mask: jax.nn.one_hot(0, count),
        learn=told,
        informed=True,
    )
    return rule._replace(**fields)


def built_of(env, rules, length=4):
    return build(env, Config(length), rules)


def started(built, hp=None):
    hp = hp or Hparams()
    return hp, engine.init(built, KEY, hp)


def step_of(built, actions, rewards, last=False, alive=True, more=1.0, discount=1.0):
    """A step in which these joint actions, group -> [n], were played and paid so.

    `more`: whether more pay could come beforehand, `discount`: whether it can afterwards.
    """
    before = built.env.reset(KEY)[1].replace(last=jnp.bool_(last))
    before = before.replace(
        alive=jax.tree.map(lambda x: x & alive, before.alive),
        discount=jax.tree.map(lambda x: x * more, before.discount),
    )
    full = lambda value: {name: jnp.full(len(a), value, jnp.float32) for name, a in actions.items()}
    rewards = {name: jnp.array(r, jnp.float32) for name, r in rewards.items()}
    after = before.replace(reward=rewards, discount=full(discount), last=jnp.bool_(False))
    decision = Decision(
        {name: jnp.array(a, jnp.int32) for name, a in actions.items()},
        {
            name: jnp.full((len(a), built.groups[name].action.num_values), 0.5)
            for name, a in actions.items()
        },
    )
    joint = engine.joint_information(built, before, decision, after)
    return Step(before, decision, after, None, jnp.float32(7), joint)


def test_a_rule_of_its_own_affairs_serves_a_group_an_informed_one_a_player():
    group = built_of(TEAM, q_rule).learners
    assert [(one.name, one.size, one.info.player) for one in group] == [("agents", 2, 0)]
    players = built_of(TEAM, constant_rule).learners
    assert [(one.name, one.size, one.info.player) for one in players] == [
        ("agents_0", 1, 0),
        ("agents_1", 1, 1),
    ]
    mixed = built_of(PAIR, {"player_0": q_rule, "player_1": constant_rule})
    assert mixed.informed and not mixed.on_policy and mixed.num_players == 2
    assert mixed.learners[1].info.num_actions == (2, 2)


def test_a_group_without_a_rule_is_named():
    with pytest.raises(ValueError, match=r"rules: expected one for each of \['player_0', 'player_"):
        built_of(PAIR, {"player_0": q_rule})


@pytest.mark.parametrize("num_states", [1, 3])
def test_an_entry_is_read_and_written_where_the_agent_is(num_states):
    table = {"q": jnp.arange(2.0 * num_states * 2).reshape(2, num_states, 2)}
    obs = jnp.array([num_states - 1, 0])
    entries = engine.read_entries(table, obs)
    np.testing.assert_array_equal(entries["q"], [table["q"][0, num_states - 1], table["q"][1, 0]])
    new = engine.write_entries(table, obs, {"q": entries["q"] - 100})
    expected = np.array(table["q"])
    expected[0, num_states - 1] -= 100
    expected[1, 0] -= 100
    np.testing.assert_array_equal(new["q"], expected)


def test_act_draws_from_strategies_while_learning_and_is_greedy_afterwards():
    """Player i's entry puts all on action i + 1; greedy, both play 0."""
    built = built_of(TEAM, constant_rule)
    tables = {f"agents_{i}": jax.nn.one_hot(i + 1, 3)[None, None] for i in range(2)}
    params = Params(tables, jnp.float32(1))
    timestep = built.env.reset(KEY)[1]
    decision = engine.act(built, params, KEY, timestep, learning=True)
    np.testing.assert_array_equal(decision.actions["agents"], [1, 2])
    np.testing.assert_array_equal(decision.strategies["agents"], np.eye(3)[[1, 2]])
    decision = engine.act(built, params, KEY, timestep, learning=False)
    np.testing.assert_array_equal(decision.actions["agents"], [0, 0])


def test_a_recommendation_is_one_draw_for_all_who_share_the_coin():
    """Half (0, 0), half (2, 2): never apart without exploration; by coins of their own they are."""
    joint = jnp.zeros((3, 3)).at[0, 0].set(0.5).at[2, 2].set(0.5)

    def drawn(coins):
        advised = lambda info: constant_rule(
            info, recommend=lambda entry: joint, coin=coins[info.player]
        )
        built = built_of(TEAM, advised)
        _, state = started(built)
        params = state.params.replace(exploration=jnp.float32(0))
        timestep = state.play.timestep
        act = lambda key: engine.act(built, params, key, timestep, True).actions["agents"]
        return np.asarray(jax.jit(jax.vmap(act))(jax.random.split(KEY, 200)))

    same = drawn((0, 0))
    assert (same[:, 0] == same[:, 1]).all()
    assert 60 < (same[:, 0] == 0).sum() < 140  # 7 standard deviations are 50
    own = drawn((0, 1))
    assert 60 < (own[:, 0] == own[:, 1]).sum() < 140


def test_who_explores_leaves_the_recommendation():
    """With exploration 1 every action is uniform, whatever is recommended."""
    always = jnp.zeros((3, 3)).at[0, 0].set(1.0)
    built = built_of(TEAM, lambda info: constant_rule(info, recommend=lambda entry: always))
    _, state = started(built)
    params, timestep = state.params.replace(exploration=jnp.float32(1)), state.play.timestep
    act = lambda key: engine.act(built, params, key, timestep, True).actions["agents"]
    drawn = np.asarray(jax.jit(jax.vmap(act))(jax.random.split(KEY, 600))).ravel()
    counts = np.bincount(drawn, minlength=3)
    assert (np.abs(counts - 400) < 5 * np.sqrt(1200 * 2 / 9)).all()


def test_what_is_told_of_the_others_is_in_the_order_of_players():
    built = built_of(PAIR, {"player_0": q_rule, "player_1": constant_rule})
    step = step_of(built, {"player_0": [1], "player_1": [0]}, {"player_0": [3], "player_1": [5]})
    informed = engine.transitions(built, built.learners[1], KEY, step)
    np.testing.assert_array_equal(informed.joint_action, [1, 0])
    np.testing.assert_array_equal(informed.rewards, [3, 5])
    assert [m.shape for m in informed.masks] == [(2,), (2,)]
    np.testing.assert_array_equal(informed.reward, [5])
    assert informed.step == 7
    own = engine.transitions(built, built.learners[0], KEY, step)
    assert own.joint_action is None and own.rewards is None and own.strategies is None
    np.testing.assert_array_equal(own.action, [1])


def test_learn_changes_the_entries_of_those_who_decided():
    """Q = 0, reward 8 and 4, gamma 0, rate 0.5: Q(a) = 4 for agent 0 who did 2, 2 for agent 1."""
    built = built_of(TEAM, q_rule)
    hp, state = started(built, Hparams(learning_rate=0.5, gamma=0.0))
    table = state.params.tables["agents"]
    step = lambda **ends: step_of(built, {"agents": [2, 0]}, {"agents": [8, 4]}, **ends)
    new, metrics = engine.learn(built, built.learners[0], KEY, table, step(), hp)
    np.testing.assert_allclose(new.q[:, 0], [[0, 0, 4], [2, 0, 0]])
    np.testing.assert_array_equal(metrics["reward"], [8, 4])
    # the step after an end; the dead to whom no more pay can come
    for nothing in ({"last": True}, {"alive": False, "more": 0.0}):
        same, _ = engine.learn(built, built.learners[0], KEY, table, step(**nothing), hp)
        np.testing.assert_array_equal(same.q, table.q)
    second = jnp.array([False, True])
    new, _ = engine.learn(built, built.learners[0], KEY, table, step(alive=second, more=second), hp)
    np.testing.assert_allclose(new.q[:, 0], [[0, 0, 0], [2, 0, 0]])
    new, _ = engine.learn(built, built.learners[0], KEY, table, step(alive=second), hp)
    np.testing.assert_allclose(new.q[:, 0], [[0, 0, 4], [2, 0, 0]])  # fallen, and paid on


def test_a_step_plays_the_decision_and_learns_from_it():
    """Prisoners: (1, 1) was decided, whose payoffs the tables learn at a rate of 1."""
    built = built_of(PAIR, q_rule)
    hp, state = started(built, Hparams(learning_rate=1.0, gamma=0.0))
    decision = state.decision.replace(actions=dict.fromkeys(PAIR.groups, jnp.array([1])))
    state = state.replace(decision=decision)
    after, (before, metrics) = engine.play_step(built, state, KEY, jnp.float32(0), hp)
    for player, table in enumerate(after.params.tables.values()):
        np.testing.assert_allclose(table.q[0, 0], [0, PAIR.payoffs[player, 1, 1]])
    assert set(metrics) == {"reward_player_0", "reward_player_1"}
    assert all(counts.all() for _, counts in metrics.values())
    assert not before.last
    expected = 1 + (0.05 - 1) / 3000  # epsilon after one step of the default's 3000
    np.testing.assert_allclose(after.params.exploration, expected, rtol=1e-6)


def test_on_policy_rules_learn_from_the_action_that_is_then_played():
    """The metric is the next action that the transition told; the state must hold the same one."""
    learn = lambda entry, next_entry, t, hp: (entry, {"next_action": t.next_action})
    built = built_of(TEAM, lambda info: constant_rule(info, learn=learn, on_policy=True))
    hp, state = started(built)
    play = jax.jit(lambda state, key: engine.play_step(built, state, key, jnp.float32(0), hp))
    for seed in range(5):
        state, (_, metrics) = play(state, jax.random.key(seed))
        told = [int(metrics[f"next_action_agents_{i}"][0][0]) for i in range(2)]
        assert told == state.decision.actions["agents"].tolist()


def test_planning_is_given_whole_tables_of_those_who_plan():
    plan = lambda table, hp: table + 10 * hp.gamma
    build_rule = lambda info: constant_rule(info, plan=plan if info.player else None)
    built = built_of(TEAM, build_rule)
    hp, state = started(built, Hparams(gamma=0.5))
    planned = engine.plan(built, state.params, hp).tables
    np.testing.assert_array_equal(planned["agents_0"], state.params.tables["agents_0"])
    np.testing.assert_allclose(planned["agents_1"], state.params.tables["agents_1"] + 5)


def test_an_update_is_its_steps_and_then_the_plan():
    plan = lambda table, hp: table - 100
    built = built_of(PAIR, lambda info: constant_rule(info, plan=plan), length=3)
    hp, state = started(built)
    found, metrics = engine.update(built, KEY, state, hp, jnp.int32(2))
    rewards = []
    play = jax.jit(lambda state, key, t: engine.play_step(built, state, key, t, hp))
    for t, key in enumerate(jax.random.split(KEY, 3)):
        state, (_, by_name) = play(state, key, jnp.float32(6 + t))
        rewards.append(by_name["reward_player_0"][0])
    for name, table in state.params.tables.items():
        np.testing.assert_allclose(found.params.tables[name], table - 100, rtol=1e-6)
    np.testing.assert_allclose(metrics["reward_player_0"], np.mean(rewards), rtol=1e-6)


def test_a_state_keeps_its_types():
    """An entry that begins as a Python number is no weaker typed than what is learnt."""
    built = built_of(TEAM, q_rule)
    hp, state = started(built)
    after, _ = engine.update(built, KEY, state, hp, jnp.int32(0))
    assert isinstance(after.params.tables["agents"], Values)
    kinds = lambda tree: [(x.dtype, x.aval.weak_type) for x in jax.tree.leaves(tree.params)]
    assert kinds(state) == kinds(after)


def test_pay_is_a_mean_over_all_and_what_is_learnt_over_those_who_decide():
    """Agent i dies after i + 1 steps, the living earn 1: means of 3/3, 2/3, 1/3; the dead 9."""
    told = lambda entry, next_entry, t, hp: (entry, {"told": jnp.where(t.obs == 1, 1.0, 9.0)})
    built = built_of(DyingAgents(), lambda info: q_rule(info)._replace(learn=told), length=1)
    hp, state = started(built)
    ones = lambda state: state.replace(
        decision=state.decision.replace(actions={"agents": jnp.ones(3, jnp.int32)})
    )
    update = jax.jit(lambda state, t: engine.update(built, KEY, ones(state), hp, t))
    for t, pay in enumerate((1, 2 / 3, 1 / 3)):
        state, metrics = update(state, jnp.int32(t))
        np.testing.assert_allclose(metrics["reward"], pay, rtol=1e-6)
        np.testing.assert_allclose(metrics["told"], 1.0)


def test_the_dead_are_told_of_as_one_action_and_no_pay():
    """Player 1 is dead and beyond pay: whatever it did and was paid, others learn the same."""
    built = built_of(PAIR, constant_rule)
    before = built.env.reset(KEY)[1]
    ghost = lambda kept, x: {"player_0": kept, "player_1": jnp.array([x])}
    before = before.replace(alive=ghost(jnp.array([True]), False), discount=ghost(jnp.ones(1), 0.0))
    after = before.replace(reward=ghost(jnp.array([3.0]), jnp.nan))
    decision = engine.act(built, started(built)[1].params, KEY, before, learning=True)
    told = engine.joint_information(built, before, decision, after)
    np.testing.assert_array_equal(told[1], [3, 0])
    np.testing.assert_array_equal(told[3][1], [True, False])


SHARED = {"final_epsilon": 0.5, "gamma": 1.0}


@pytest.mark.fast("team_q")
@pytest.mark.parametrize("build", [q_learning, hysteretic_q, sarsa, team_q, opponent_modelling_q])
def test_a_death_that_pays_the_team_later_is_learnt(build):
    """Agent 0 falls at once for 20 to both at the end, where they would get 2: in 8 of 8 runs.

    Agent 1 decides nothing that matters, so that exploring mates lead none of them astray.
    """
    env = Sacrifice(20.0, 2.0)
    algorithm = build(env)
    hparams = algorithm.hparams.replace(**{n: jnp.float32(x) for n, x in SHARED.items()})
    train, _ = make_train(algorithm, env, Schedule(40, 40, 4, 4))
    keys = jax.random.split(KEY, 8)
    metrics = jax.jit(jax.vmap(lambda key: train(key, hparams)[1]))(keys)
    np.testing.assert_allclose(metrics["eval_return"][:, -1], 20.0)


LATE = 1_500_000_000  # of updates of two steps: 3e9 steps, where an int32 has begun anew below 0


@pytest.mark.fast("hyperbolic-0.25")
@pytest.mark.parametrize(
    ("rate", "factor"),
    [("hyperbolic", 1 / (1 + 3e9 / 1e9)), ("exponential", 0.01**3), ("constant", 1.0)],
)
def test_schedules_count_beyond_an_int32(rate, factor):
    """Epsilon from 1 to 0 over 4e9 steps is a quarter after 3e9; a rate of 0.5 falls by 1e9."""
    env = matrix_game("prisoners_dilemma", num_rounds=None)
    algorithm = q_learning(env, Config(2, rate=rate))
    hp = algorithm.hparams.replace(
        learning_rate=0.5, rate_period=1e9, gamma=0.0, final_epsilon=0.0, anneal_steps=4e9
    )
    state = algorithm.init(KEY, hp)
    after, metrics = algorithm.update(KEY, state, hp, jnp.int32(LATE))
    np.testing.assert_allclose(metrics["exploration"], 0.25, rtol=1e-6)
    # two steps towards payoffs of -1 to -3: the first alone moves Q by a share of the reward
    first = engine.play_step(
        build(env, Config(2), lambda info: q_rule(info, rate)),
        state,
        KEY,
        jnp.float32(3e9),
        hp,
    )[0]
    action = int(state.decision.actions["player_0"][0])
    paid = env.payoffs[0, action, int(state.decision.actions["player_1"][0])]
    moved = first.params.tables["player_0"].q[0, 0, action]
    np.testing.assert_allclose(moved, 0.5 * factor * paid, rtol=1e-5)
    assert np.isfinite(after.params.tables["player_0"].q).all()


TABULAR = [n for n in sorted(ALGORITHMS) if config_type(n).__module__.split(".")[-2] == "tabular"]


@pytest.mark.parametrize("name", [n for n in TABULAR if n != "linear_q"])
def test_a_world_that_does_not_fit_names_the_algorithm(name):
    why = 'needs (discrete observations, group "aimer"|one team)'
    with pytest.raises(ValueError, match=f"^{name}: {why}"):
        ALGORITHMS[name](MixedGroups())
