"""adaptnas: neural architecture search for learning from few examples.

`run_search` carries out a run, `open_run` opens an existing one, and `load` reads the folder of an exported network.
These functions and the packages, such as `nas.controllers`, are imported when they are first used.
"""

from typing import TYPE_CHECKING

from .architecture import Architecture
from .errors import NasError
from .lazy import lazy_attributes
from .task import Bank, TaskBatch, TaskShape
from .trial import Score, Trial

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "Bank",
    "NasError",
    "Score",
    "TaskBatch",
    "TaskShape",
    "Trial",
    "__version__",
    "adapt",
    "analysis",
    "checks",
    "cli",
    "compare",
    "config",
    "controllers",
    "data",
    "evaluators",
    "executors",
    "experiments",
    "export",
    "init",
    "load",
    "networks",
    "open_run",
    "optimizers",
    "protocols",
    "registry",
    "report",
    "run_search",
    "runs",
    "search",
    "search_spaces",
    "space",
    "store",
    "testing",
]

if TYPE_CHECKING:
    from types import ModuleType

    from . import (
        adapt,
        analysis,
        checks,
        cli,
        compare,
        config,
        data,
        executors,
        export,
        init,
        networks,
        optimizers,
        protocols,
        registry,
        report,
        runs,
        search,
        space,
        store,
        testing,
    )
    from .adapt.predictor import load
    from .runs.run import open_run, run_search

    # The kernel imports none of these, which import the kernel.
    controllers: ModuleType
    evaluators: ModuleType
    experiments: ModuleType
    search_spaces: ModuleType
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__, {"adapt.predictor": ("load",), "runs.run": ("open_run", "run_search")}, modules=__all__
    )
