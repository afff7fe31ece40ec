"""How a network adapts to a task's support set, on batches of tasks at once."""

from .anil import Anil
from .maml import Maml
from .reptile import Reptile

__all__ = ["Anil", "Maml", "Reptile"]
