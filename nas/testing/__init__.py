"""Laws of components, as functions for your own tests; each raises AssertionError with the law that is broken.

Example::

    from nas.testing import check_controller

    def test_laws():
        check_controller(MyController)
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_attributes

__all__ = [
    "OnePoint",
    "Ten",
    "ToySpace",
    "Vast",
    "check_controller",
    "check_evaluator",
    "check_learner",
    "check_networks",
    "check_space",
    "check_task_family",
]

if TYPE_CHECKING:
    from .controllers import check_controller
    from .evaluators import check_evaluator
    from .learners import check_learner
    from .networks import check_networks
    from .spaces import check_space
    from .tasks import check_task_family
    from .toy_spaces import OnePoint, Ten, ToySpace, Vast
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {
            "controllers": ("check_controller",),
            "evaluators": ("check_evaluator",),
            "learners": ("check_learner",),
            "networks": ("check_networks",),
            "spaces": ("check_space",),
            "tasks": ("check_task_family",),
            "toy_spaces": ("OnePoint", "Ten", "ToySpace", "Vast"),
        },
    )
