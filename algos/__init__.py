"""Learners by name: ALGORITHMS maps a name to `builder(env, config) -> Algorithm`."""

from jaxmarl_core.algos.mean_field.il import il
from jaxmarl_core.algos.mean_field.mfq import mfq
from jaxmarl_core.algos.on_policy.coma import coma
from jaxmarl_core.algos.on_policy.haa2c import haa2c
from jaxmarl_core.algos.on_policy.happo import happo
from jaxmarl_core.algos.on_policy.hatrpo import hatrpo
from jaxmarl_core.algos.on_policy.ia2c import ia2c
from jaxmarl_core.algos.on_policy.ippo import ippo
from jaxmarl_core.algos.on_policy.maa2c import maa2c
from jaxmarl_core.algos.on_policy.mappo import mappo
from jaxmarl_core.algos.repeated.awesome import awesome
from jaxmarl_core.algos.repeated.fictitious_play import fictitious_play, smooth_fictitious_play
from jaxmarl_core.algos.repeated.fmq import fmq, rfmq
from jaxmarl_core.algos.repeated.gradient import giga, giga_wolf, iga, pd_wolf_iga
from jaxmarl_core.algos.repeated.hyper_q import hyper_q
from jaxmarl_core.algos.repeated.jal import jal
from jaxmarl_core.algos.repeated.meta_strategy import meta_strategy
from jaxmarl_core.algos.repeated.no_regret import (
    multiplicative_weights,
    regret_matching,
    regret_matching_plus,
)
from jaxmarl_core.algos.repeated.replicator import replicator
from jaxmarl_core.algos.repeated.wolf_iga import wolf_iga
from jaxmarl_core.algos.tabular.asymmetric_q import asymmetric_q
from jaxmarl_core.algos.tabular.ce_q import ce_q
from jaxmarl_core.algos.tabular.distributed_q import distributed_q
from jaxmarl_core.algos.tabular.exorl import exorl
from jaxmarl_core.algos.tabular.friend_or_foe_q import friend_or_foe_q
from jaxmarl_core.algos.tabular.hysteretic_q import hysteretic_q
from jaxmarl_core.algos.tabular.lenient_q import lenient_q
from jaxmarl_core.algos.tabular.linear_q import linear_q
from jaxmarl_core.algos.tabular.minimax_q import minimax_q
from jaxmarl_core.algos.tabular.nash_q import nash_q
from jaxmarl_core.algos.tabular.nscp import nscp
from jaxmarl_core.algos.tabular.oal import oal
from jaxmarl_core.algos.tabular.opponent_modelling_q import opponent_modelling_q
from jaxmarl_core.algos.tabular.pd_wolf import pd_wolf
from jaxmarl_core.algos.tabular.q_learning import q_learning
from jaxmarl_core.algos.tabular.sarsa import sarsa
from jaxmarl_core.algos.tabular.team_q import team_q
from jaxmarl_core.algos.tabular.wolf_phc import phc, wolf_phc
from jaxmarl_core.algos.value_factorisation.iql import iql
from jaxmarl_core.algos.value_factorisation.qmix import qmix
from jaxmarl_core.algos.value_factorisation.qplex import qplex
from jaxmarl_core.algos.value_factorisation.qtran import qtran
from jaxmarl_core.algos.value_factorisation.qtran_alt import qtran_alt
from jaxmarl_core.algos.value_factorisation.vdn import vdn
from jaxmarl_core.algos.value_factorisation.weighted_qmix import cw_qmix, ow_qmix

__all__ = [
    "ALGORITHMS",
    "asymmetric_q",
    "awesome",
    "ce_q",
    "coma",
    "cw_qmix",
    "distributed_q",
    "exorl",
    "fictitious_play",
    "fmq",
    "friend_or_foe_q",
    "giga",
    "giga_wolf",
    "haa2c",
    "happo",
    "hatrpo",
    "hyper_q",
    "hysteretic_q",
    "ia2c",
    "iga",
    "il",
    "ippo",
    "iql",
    "jal",
    "lenient_q",
    "linear_q",
    "maa2c",
    "mappo",
    "meta_strategy",
    "mfq",
    "minimax_q",
    "multiplicative_weights",
    "nash_q",
    "nscp",
    "oal",
    "opponent_modelling_q",
    "ow_qmix",
    "pd_wolf",
    "pd_wolf_iga",
    "phc",
    "q_learning",
    "qmix",
    "qplex",
    "qtran",
    "qtran_alt",
    "regret_matching",
    "regret_matching_plus",
    "replicator",
    "rfmq",
    "sarsa",
    "smooth_fictitious_play",
    "team_q",
    "vdn",
    "wolf_iga",
    "wolf_phc",
]

ALGORITHMS = {
    "asymmetric_q": asymmetric_q,
    "awesome": awesome,
    "ce_q": ce_q,
    "coma": coma,
    "cw_qmix": cw_qmix,
    "distributed_q": distributed_q,
    "exorl": exorl,
    "fictitious_play": fictitious_play,
    "fmq": fmq,
    "friend_or_foe_q": friend_or_foe_q,
    "giga": giga,
    "giga_wolf": giga_wolf,
    "haa2c": haa2c,
    "happo": happo,
    "hatrpo": hatrpo,
    "hyper_q": hyper_q,
    "hysteretic_q": hysteretic_q,
    "ia2c": ia2c,
    "iga": iga,
    "il": il,
    "ippo": ippo,
    "iql": iql,
    "jal": jal,
    "lenient_q": lenient_q,
    "linear_q": linear_q,
    "maa2c": maa2c,
    "mappo": mappo,
    "meta_strategy": meta_strategy,
    "mfq": mfq,
    "minimax_q": minimax_q,
    "multiplicative_weights": multiplicative_weights,
    "nash_q": nash_q,
    "nscp": nscp,
    "oal": oal,
    "opponent_modelling_q": opponent_modelling_q,
    "ow_qmix": ow_qmix,
    "pd_wolf": pd_wolf,
    "pd_wolf_iga": pd_wolf_iga,
    "phc": phc,
    "q_learning": q_learning,
    "qmix": qmix,
    "qplex": qplex,
    "qtran": qtran,
    "qtran_alt": qtran_alt,
    "regret_matching": regret_matching,
    "regret_matching_plus": regret_matching_plus,
    "replicator": replicator,
    "rfmq": rfmq,
    "sarsa": sarsa,
    "smooth_fictitious_play": smooth_fictitious_play,
    "team_q": team_q,
    "vdn": vdn,
    "wolf_iga": wolf_iga,
    "wolf_phc": wolf_phc,
}
