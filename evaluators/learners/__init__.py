"""How a network adapts to a task's support set, on batches of tasks at once."""

from .anil import Anil
from .closed_form import ProtoNet, Ridge
from .controls import FineTune, Scratch
from .maml import Maml
from .meta_sgd import MetaSgd
from .reptile import Reptile

__all__ = ["Anil", "FineTune", "Maml", "MetaSgd", "ProtoNet", "Reptile", "Ridge", "Scratch"]
