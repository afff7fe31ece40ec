"""Laws of components, as functions for your own tests; each raises AssertionError with the law that is broken.

```python
from nas.testing import check_controller

def test_laws():
    check_controller(MyController)
```
"""

from .controllers import check_controller
from .evaluators import check_evaluator
from .networks import check_networks
from .spaces import check_space
from .tasks import check_task_family
from .toy_spaces import OnePoint, Ten, ToySpace, Vast

__all__ = [
    "OnePoint",
    "Ten",
    "ToySpace",
    "Vast",
    "check_controller",
    "check_evaluator",
    "check_networks",
    "check_space",
    "check_task_family",
]
