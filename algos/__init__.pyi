from jaxmarl_core.algos.mean_field.ac import ac as ac
from jaxmarl_core.algos.mean_field.il import il as il
from jaxmarl_core.algos.mean_field.mfac import mfac as mfac
from jaxmarl_core.algos.mean_field.mfq import mfq as mfq
from jaxmarl_core.algos.mean_field.tabular_mfq import tabular_mfq as tabular_mfq
from jaxmarl_core.algos.off_policy.haddpg import haddpg as haddpg
from jaxmarl_core.algos.off_policy.hasac import hasac as hasac
from jaxmarl_core.algos.off_policy.hatd3 import hatd3 as hatd3
from jaxmarl_core.algos.off_policy.iddpg import iddpg as iddpg
from jaxmarl_core.algos.off_policy.isac import isac as isac
from jaxmarl_core.algos.off_policy.maac import maac as maac
from jaxmarl_core.algos.off_policy.maddpg import maddpg as maddpg
from jaxmarl_core.algos.off_policy.maddpg_ensemble import maddpg_ensemble as maddpg_ensemble
from jaxmarl_core.algos.off_policy.maddpg_inferred import maddpg_inferred as maddpg_inferred
from jaxmarl_core.algos.off_policy.matd3 import matd3 as matd3
from jaxmarl_core.algos.on_policy.coma import coma as coma
from jaxmarl_core.algos.on_policy.haa2c import haa2c as haa2c
from jaxmarl_core.algos.on_policy.happo import happo as happo
from jaxmarl_core.algos.on_policy.hatrpo import hatrpo as hatrpo
from jaxmarl_core.algos.on_policy.ia2c import ia2c as ia2c
from jaxmarl_core.algos.on_policy.ippo import ippo as ippo
from jaxmarl_core.algos.on_policy.maa2c import maa2c as maa2c
from jaxmarl_core.algos.on_policy.mappo import mappo as mappo
from jaxmarl_core.algos.repeated.awesome import awesome as awesome
from jaxmarl_core.algos.repeated.fictitious_play import fictitious_play as fictitious_play
from jaxmarl_core.algos.repeated.fictitious_play import (
    smooth_fictitious_play as smooth_fictitious_play,
)
from jaxmarl_core.algos.repeated.fmq import fmq as fmq
from jaxmarl_core.algos.repeated.fmq import rfmq as rfmq
from jaxmarl_core.algos.repeated.gradient import giga as giga
from jaxmarl_core.algos.repeated.gradient import giga_wolf as giga_wolf
from jaxmarl_core.algos.repeated.gradient import iga as iga
from jaxmarl_core.algos.repeated.gradient import pd_wolf_iga as pd_wolf_iga
from jaxmarl_core.algos.repeated.hyper_q import hyper_q as hyper_q
from jaxmarl_core.algos.repeated.jal import jal as jal
from jaxmarl_core.algos.repeated.meta_strategy import meta_strategy as meta_strategy
from jaxmarl_core.algos.repeated.no_regret import multiplicative_weights as multiplicative_weights
from jaxmarl_core.algos.repeated.no_regret import regret_matching as regret_matching
from jaxmarl_core.algos.repeated.no_regret import regret_matching_plus as regret_matching_plus
from jaxmarl_core.algos.repeated.replicator import replicator as replicator
from jaxmarl_core.algos.repeated.wolf_iga import wolf_iga as wolf_iga
from jaxmarl_core.algos.tabular.asymmetric_q import asymmetric_q as asymmetric_q
from jaxmarl_core.algos.tabular.ce_q import ce_q as ce_q
from jaxmarl_core.algos.tabular.distributed_q import distributed_q as distributed_q
from jaxmarl_core.algos.tabular.exorl import exorl as exorl
from jaxmarl_core.algos.tabular.friend_or_foe_q import friend_or_foe_q as friend_or_foe_q
from jaxmarl_core.algos.tabular.hysteretic_q import hysteretic_q as hysteretic_q
from jaxmarl_core.algos.tabular.lenient_q import lenient_q as lenient_q
from jaxmarl_core.algos.tabular.linear_q import linear_q as linear_q
from jaxmarl_core.algos.tabular.minimax_q import minimax_q as minimax_q
from jaxmarl_core.algos.tabular.nash_q import nash_q as nash_q
from jaxmarl_core.algos.tabular.nscp import nscp as nscp
from jaxmarl_core.algos.tabular.oal import oal as oal
from jaxmarl_core.algos.tabular.opponent_modelling_q import (
    opponent_modelling_q as opponent_modelling_q,
)
from jaxmarl_core.algos.tabular.pd_wolf import pd_wolf as pd_wolf
from jaxmarl_core.algos.tabular.q_learning import q_learning as q_learning
from jaxmarl_core.algos.tabular.sarsa import sarsa as sarsa
from jaxmarl_core.algos.tabular.team_q import team_q as team_q
from jaxmarl_core.algos.tabular.wolf_phc import phc as phc
from jaxmarl_core.algos.tabular.wolf_phc import wolf_phc as wolf_phc
from jaxmarl_core.algos.value_factorisation.iql import iql as iql
from jaxmarl_core.algos.value_factorisation.qmix import qmix as qmix
from jaxmarl_core.algos.value_factorisation.qplex import qplex as qplex
from jaxmarl_core.algos.value_factorisation.qtran import qtran as qtran
from jaxmarl_core.algos.value_factorisation.qtran_alt import qtran_alt as qtran_alt
from jaxmarl_core.algos.value_factorisation.vdn import vdn as vdn
from jaxmarl_core.algos.value_factorisation.weighted_qmix import cw_qmix as cw_qmix
from jaxmarl_core.algos.value_factorisation.weighted_qmix import ow_qmix as ow_qmix
from jaxmarl_core.lazy import Registry

ALGORITHMS: Registry
