"""How a network adapts to a task's support set, on batches of tasks at once."""

from .anil import Anil
from .maml import Maml
from .meta_sgd import MetaSgd
from .no_meta_learning import FineTune, Scratch
from .protonet import ProtoNet
from .reptile import Reptile
from .ridge import Ridge

__all__ = ["Anil", "FineTune", "Maml", "MetaSgd", "ProtoNet", "Reptile", "Ridge", "Scratch"]
