"""Learners: inner loops that adapt a network to the support sets of many tasks at once."""

from .anil import Anil
from .finetune import FineTune
from .maml import Maml
from .meta_sgd import MetaSgd
from .protonet import ProtoNet
from .reptile import Reptile
from .ridge import Ridge
from .scratch import Scratch

__all__ = ["Anil", "FineTune", "Maml", "MetaSgd", "ProtoNet", "Reptile", "Ridge", "Scratch"]
