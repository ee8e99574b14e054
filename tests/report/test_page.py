import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from jaxmarl_core.report.facets import facets, legend
from jaxmarl_core.report.figures import curve, time_axis
from jaxmarl_core.report.films import Replay
from jaxmarl_core.report.page import page, write_report
from jaxmarl_core.report.strategies import Strategy
from jaxmarl_core.store import number_formats
from jaxmarl_core.store.tables import (
    Objective,
    Results,
    divergences,
    final,
    first_divergence,
    table,
)

VOID = {"meta", "img", "input", "br", "link"}
OBJECTIVE = Objective("eval_win_rate")


class Page(HTMLParser):
    """Reads a page: that its elements nest, its text, its ids, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.ids, self.words = [], [], [], []
        self.counts = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        attrs = dict(attrs)
        self.loads += [attrs[name] for name in ("src", "href", "data") if attrs.get(name)]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def make_results(hparams, static=({},), num_seeds=2, num_updates=12, seed=0):
    rng = np.random.default_rng(seed)
    choices = [(s, h) for s in static for h in hparams for _ in range(num_seeds)]
    runs = [
        {"run": i, "seed": i % num_seeds, "hparams": dict(h), "static": dict(s)}
        for i, (s, h) in enumerate(choices)
    ]
    shape = (len(runs), num_updates)
    rates = rng.random(shape).astype(np.float32)
    rates[:, ::3] = np.nan
    metrics = {
        "eval_win_rate": rates,
        "loss": rng.normal(size=shape).astype(np.float32),
        "finite": np.ones(shape, np.float32),
    }
    done = np.full(len(runs), num_updates)
    return Results(runs, metrics, done, first_divergence(metrics), {"a": "<b>"}, {"device": "cpu"})


def diverge(results, runs, update=5):
    for run in runs:
        results.metrics["loss"][run, update:] = np.nan
        results.metrics["eval_win_rate"][run, update:] = np.nan
    results.diverged_at[:] = first_divergence(results.metrics)
    return results


GRID = [{"rate": r, "clip": c} for r in (1e-4, 1e-3) for c in (0.1, 0.2)]


@pytest.fixture(scope="module")
def full():
    results = diverge(make_results(GRID), [2])
    for run in results.runs:
        run["env_steps_per_update"] = 1000
    frames = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    replay = Replay(frames, "Red <against> blue.", [f"</script> {i}" for i in range(5)])
    text = page(results, OBJECTIVE, {"rate": "log"}, replay, "A <sweep> & more")
    return results, text, Page(text)


def test_time_is_what_was_played():
    """Runs of 1000 steps an update, of which one in four came after an end; no steps: updates."""
    results = make_results(GRID[:1], num_updates=4)
    np.testing.assert_array_equal(time_axis(results, np.array([0, 1])), range(5))
    for run in results.runs:
        run["env_steps_per_update"] = 1000
    np.testing.assert_array_equal(time_axis(results, np.array([0, 1])), 1000 * np.arange(5))
    steps = np.array([[700, 800, 750, np.nan], [800, 700, 750, 750]], np.float32)
    results.metrics["env_steps"] = steps
    np.testing.assert_array_equal(time_axis(results, np.array([0, 1])), [0, 750, 1500, 2250, 3000])
    np.testing.assert_array_equal(time_axis(results, np.array([1]))[-1], 3000)
    results.num_updates_done[0] = 3
    assert "5,250 environment steps in all" in page(results, OBJECTIVE)
    late = np.full((2, 4), 2.0**30, np.float32)  # 4.3e9 steps
    results.metrics["env_steps"] = late
    assert time_axis(results, np.array([0]))[-1] == 2**32


def test_the_page_needs_no_network(full):
    _, text, parsed = full
    assert "http:" not in text and "https:" not in text and "@import" not in text
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in parsed.loads)
    assert parsed.counts["html"] == parsed.counts["main"] == 1
    assert len(parsed.ids) == len(set(parsed.ids))
    used = set(re.findall(r'(?:url\(#|href="#)([\w-]+)', text))
    assert used <= set(parsed.ids)


def test_the_page_says_what_came_out(full):
    results, _, parsed = full
    words = " ".join(parsed.words)
    assert "8 runs of 4 configurations, 12 updates each, 96,000 environment steps" in words
    assert "1\N{NO-BREAK SPACE}run diverged and is left out" in words
    assert "1 of 2 diverged" in words and "update 5" in words
    figures = final(results, OBJECTIVE)
    for figure in figures[~np.isnan(figures)]:
        assert number_formats.number(figure) in parsed.words
    for name in ("eval_win_rate", "loss", "rate", "clip", "environment steps"):
        assert name in parsed.words


def test_what_a_user_wrote_is_escaped(full):
    _, text, parsed = full
    assert "A <sweep> & more" in parsed.words
    assert "<sweep>" not in text and "<against>" not in text
    assert text.count("</script>") == 2  # the page's own, and the replay's facts


def test_nothing_from_a_folder_is_markup():
    """A folder may come from anybody: its words are shown, whatever they are."""
    evil = "<script>alert('$x')</script>"
    results = make_results([{f"rate{evil}": r} for r in (0.1, 0.2)], ({evil: 1}, {evil: evil}))
    for run in results.runs:
        run["seed"] = run["run"] = evil
    results.metrics[evil] = results.metrics["eval_win_rate"]
    results.facts["device"], results.facts["later"] = evil, [{"device": evil}]
    results.spec["algorithm"] = evil
    text = page(results, Objective(evil), {evil: "log"}, None, evil)
    assert text.count("<script>") == text.count("</script>") == 1  # the page's own
    assert evil in Page(text).words


def test_the_same_sweep_gives_the_same_page():
    results = make_results(GRID[:2])
    assert page(results, OBJECTIVE) == page(results, OBJECTIVE)


def test_no_global_state_is_left_behind():
    import matplotlib

    before = dict(matplotlib.rcParams)
    page(make_results(GRID[:1]), OBJECTIVE)
    assert dict(matplotlib.rcParams) == before


SEARCH = [{"rate": 10.0**-x, "clip": x, "decay": 0.0} for x in np.linspace(0, 5, 15)]
CASES = {
    "one run": make_results(GRID[:1], num_seeds=1),
    "one update": make_results(GRID[:2], num_updates=1),
    "one swept": make_results([{"rate": r} for r in (0.0, 0.1, 1.0)]),
    "words": make_results(GRID[:2], static=({"network": "mlp"}, {"network": "gru & <co>"})),
    "search": make_results(SEARCH),
    "all diverged": diverge(make_results(GRID[:2]), range(4)),
    "one configuration diverged": diverge(make_results(GRID), [0, 1]),
    "diverged at once": diverge(make_results(GRID[:2]), [0], update=0),
}


@pytest.mark.parametrize("case", CASES)
def test_any_sweep_can_be_reported(case, tmp_path):
    write_report(tmp_path / "report.html", CASES[case], OBJECTIVE, {"rate": "log"})
    parsed = Page((tmp_path / "report.html").read_text("utf-8"))
    assert parsed.counts["svg"] >= 2


def test_an_unfinished_sweep_can_be_reported():
    results = make_results(GRID)
    for name in ("eval_win_rate", "loss"):
        results.metrics[name][4:6, 7:] = np.nan
        results.metrics[name][6:] = np.nan
    results.num_updates_done[4:6] = 7
    results.num_updates_done[6:] = 0
    words = " ".join(Page(page(results, OBJECTIVE)).words)
    assert "up to 12 updates" in words and "no value" in words


def test_a_lower_objective_is_better_where_said():
    results = make_results([{"clip": c} for c in (0.1, 0.2)])
    results.metrics["loss"][:2] = 1.0
    results.metrics["loss"][2:] = 7.0
    words = " ".join(Page(page(results, Objective("loss", higher_is_better=False))).words)
    assert "The best, clip 0.1, reached a final loss of  1" in words


def test_bad_input_is_refused():
    results = make_results(GRID[:1])
    with pytest.raises(ValueError, match="did you mean 'eval_win_rate'"):
        page(results, Objective("eval_win_rat"))
    with pytest.raises(ValueError, match="results: expected at least one run"):
        page(Results([], {}, np.zeros(0, int), np.zeros(0, int)), OBJECTIVE)
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match=r"texts: expected one line per frame \(3\)"):
        page(results, OBJECTIVE, replay=Replay(frames, texts=["one"]))


def test_worlds_have_panels_and_configurations_colours():
    """Two worlds whose returns differ a hundredfold: a panel each, one colour in both."""
    results = make_results(GRID[:2], static=({"size": 4}, {"size": 40}))
    results.spec["grid"] = {"environment_options": {"size": [4, 40]}}
    results.metrics["eval_win_rate"][4:] *= 100
    rows = table(results, OBJECTIVE)
    assert [row["options"]["size"] for row in rows] == [40, 40, 4, 4]
    small, large = facets(results, rows)
    assert (small.label, large.label) == ("size 4", "size 40")
    pick = lambda facet: {row["options"]["clip"]: c for row, c in zip(facet.rows, facet.colours)}
    assert pick(small) == pick(large) and len(set(pick(small).values())) == 2
    assert [words for _, words in legend(results, rows)] == [
        row["configuration"].replace(", size 40", "").replace("size 40, ", "") for row in rows[:2]
    ]
    words = Page(page(results, OBJECTIVE)).words
    assert words.count("size 4") == 1 and words.count("loss, size 40") == 1


def test_what_diverged_says_when_and_why():
    results = diverge(make_results(GRID), [0, 1, 4], update=5)
    results.metrics["finite"][6, 7:] = 0  # a parameter was lost, and no metric told
    results.diverged_at[:] = first_divergence(results.metrics)
    assert divergences(results) == [
        (0, 5, ["loss"]),
        (1, 5, ["loss"]),
        (4, 5, ["loss"]),
        (6, 7, ["finite"]),
    ]
    words = " ".join(Page(page(results, OBJECTIVE)).words)
    assert "What diverged" in words and "2 of 2" in words and "5 to 5" in words


def test_strategies_and_the_way_to_them_are_shown():
    names, shares = ("stag", "hare <b>"), np.array([[0.75, 0.25]])
    one = Strategy("player_0", names, np.array([0]), np.ones(1), shares)
    text = page(make_results(GRID), OBJECTIVE, strategies=[one], folder="runs/it's mine")
    words = Page(text).words
    assert {"Strategies", "stag", "hare <b>", "0.750", "0.250"} <= set(words)
    told = next(word for word in words if "load_policy(" in word)
    assert 'load_policy("runs/it\'s mine")' in told
    assert "$ jaxmarl-core play 'runs/it'\"'\"'s mine'" in told


def test_compiling_is_told_apart():
    results = replace(make_results(GRID), seconds=90.0, compile_seconds=30.0)
    words = " ".join(Page(page(results, OBJECTIVE)).words)
    assert "computed in 1 min 30 s after 30.0 s of compiling" in words


def test_a_short_sweep_beside_a_long_one_keeps_its_points_and_its_steps():
    """20 updates beside 2,000; only the first counts its steps itself."""
    results = make_results(GRID[:2], num_seeds=1, num_updates=2000)
    results.metrics["eval_win_rate"][0, 20:] = np.nan
    results.num_updates_done[0] = 20
    for run in results.runs:
        run["env_steps_per_update"] = 10
    played = np.full((2, 2000), np.nan, np.float32)
    played[0, :20] = 8
    results.metrics["env_steps"] = played
    short = curve(results, "eval_win_rate", np.array([0]))
    assert len(short.x) == 20 and short.x[-1] == 160
    assert curve(results, "eval_win_rate", np.array([1])).x[-1] == 20_000


def test_of_thousands_of_runs_some_are_drawn_and_that_is_said():
    """One run each of 2,100 configurations, the metric their rate."""
    num = 2100
    rates = np.geomspace(1e-4, 1e-2, num)
    runs = [
        {"run": i, "seed": 0, "hparams": {"rate": float(rate)}, "env_steps_per_update": 10}
        for i, rate in enumerate(rates)
    ]
    metrics = {"figure": np.stack([rates, rates], axis=1)}
    results = Results(runs, metrics, np.full(num, 2), np.full(num, -1))
    text = page(results, Objective("figure"), {"rate": "log"})
    assert len(text) < 3e6
    assert "42,000 environment steps in all" in text
    assert "The best 2,000 of 2,100; results.csv has all." in text
    assert "2,000 of 2,100 runs, those of the best configurations" in text
    assert "Each dot is one of 1,500 runs, drawn at random" in text
    assert "Of these 200 are drawn, from the best to the worst." in text
    assert text.count("<tr") < 2 * 2000 + 20
    table = text[text.index("<h2>Runs</h2>") :]
    assert "<td>2,099</td>" in table or ">2099<" in table
    assert ">99</td>" not in table  # among the hundred worst
