import pytest

from jaxmarl_core.errors import lookup, require, unknown


@pytest.mark.parametrize("name", ["mapo", "MAPPO", "map-po"])
def test_the_nearest_name_is_offered(name):
    with pytest.raises(ValueError, match=r"algorithm: expected one of ippo, mappo; .*'mappo'"):
        lookup({"mappo": 1, "ippo": 2}, name, "algorithm")


def test_hyphens_stand_for_underscores():
    assert unknown("game", "stag-hunt", ["stag_hunt", "chicken"]).endswith("mean 'stag_hunt'?")


def test_no_name_is_offered_where_none_is_near():
    message = unknown("algorithm", "zzz", ["mappo", "ippo"])
    assert message == "algorithm: expected one of ippo, mappo; got 'zzz'"


def test_many_names_are_counted_and_three_are_offered():
    many = [f"{a}_q" for a in ("nash", "ce", "team", "minimax", "hyper")] + list("abcdef")
    message = unknown("algorithm", "tem_q", many)
    assert message.startswith("algorithm: expected one of 11 names (a, b, c, ...); got 'tem_q'; ")
    offered = message.partition("did you mean ")[2]
    assert offered.startswith("'team_q' or ") and offered.count("' or '") == 2


def test_lookup_finds():
    assert lookup({"mappo": 1}, "mappo", "algorithm") == 1


def test_require_reads_field_expected_got():
    require(True, "num_envs", "at least 1", 0)
    with pytest.raises(ValueError, match=r"^num_envs: expected at least 1, got 0$"):
        require(False, "num_envs", "at least 1", 0)
