from jaxmarl_core.algos import ALGORITHMS as ALGORITHMS
from jaxmarl_core.envs import ENVIRONMENTS as ENVIRONMENTS
from jaxmarl_core.functional.losses import ppo_clip as ppo_clip
from jaxmarl_core.functional.losses import td_target as td_target
from jaxmarl_core.functional.returns import gae as gae
from jaxmarl_core.functional.returns import lambda_returns as lambda_returns
from jaxmarl_core.play.evaluate import evaluate as evaluate
from jaxmarl_core.play.policies import Player as Player
from jaxmarl_core.play.policies import random_policy as random_policy
from jaxmarl_core.play.rollout import rollout as rollout
from jaxmarl_core.play.wrappers import AutoReset as AutoReset
from jaxmarl_core.registry import make_algorithm as make_algorithm
from jaxmarl_core.registry import make_environment as make_environment
from jaxmarl_core.solvers.normal_form.zero_sum import zero_sum as zero_sum
from jaxmarl_core.spaces import Box as Box
from jaxmarl_core.spaces import Composite as Composite
from jaxmarl_core.spaces import Discrete as Discrete
from jaxmarl_core.sweeps.batch import sweep as sweep
from jaxmarl_core.sweeps.saved_run import load_policy as load_policy
from jaxmarl_core.train import Schedule as Schedule
from jaxmarl_core.train import make_train as make_train
from jaxmarl_core.types import Algorithm as Algorithm
from jaxmarl_core.types import Environment as Environment
from jaxmarl_core.types import Group as Group
from jaxmarl_core.types import Policy as Policy
from jaxmarl_core.types import TimeStep as TimeStep

__version__: str
