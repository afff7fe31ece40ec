"""`nas check FILE.py:NAME`: the conformance suite run on a person's own search space."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from .errors import ConfigError, SpaceError
from .executors.attempt import attempt, reason
from .protocols import SearchSpace, TaskShape
from .space import count
from .testing import check_space
from .testing_networks import check_networks

SAMPLES = 1000
BUILDS = 20


def load_space(target: str) -> SearchSpace:
    """An instance of the class NAME in FILE.py, which is run: it is the person's own. Raises ConfigError."""
    file, _, name = target.rpartition(":")
    path = Path(file)
    if path.suffix != ".py" or not name:
        raise ConfigError(f"{target!r} is not of the form FILE.py:NAME, for example my_space.py:MySpace")
    if not path.is_file():
        raise ConfigError(f"there is no file {file!r}")
    own_name = f"checked_{path.stem}"  # a file may be called as a module of Python
    spec = importlib.util.spec_from_file_location(own_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[own_name] = module  # dataclasses look their module up there
    _, error = attempt(spec.loader.exec_module, module)
    if error is not None:
        raise ConfigError(f"{file} cannot be imported: {reason(error)}")
    space, error = attempt(lambda: getattr(module, name)())
    if error is not None:
        raise ConfigError(f"{name} of {file} cannot be made without arguments: {reason(error)}")
    _, error = attempt(lambda: (space.name, space.decide, space.build))
    if error is not None:
        raise ConfigError(f"{name} of {file} is no search space; it needs a `name`, `decide` and `build`: {error}")
    found: SearchSpace = space
    return found


def check(target: str, task: TaskShape) -> str:
    """A verdict in a few lines. Raises SpaceError, with the law that is broken, for a space that is not sound."""
    space = load_space(target)
    _, error = attempt(check_space, space, task=task, samples=SAMPLES, builds=BUILDS)
    number = None
    if error is None:
        _, error = attempt(check_networks, space, task, samples=SAMPLES, builds=BUILDS)
    if error is None:
        number, error = attempt(_size, space)
    if error is not None:
        text = str(error) if isinstance(error, AssertionError) else reason(error)
        raise SpaceError(f"space {space.name!r} is not sound: {text}")
    return (
        f"{space.name}: sound. {SAMPLES} architectures decided, replayed and mutated, {BUILDS} built and "
        f"differentiated on inputs {task.input_shape}; {number} architectures in all."
    )


def _size(space: SearchSpace) -> str:
    try:
        size = count(space)
    except OverflowError:
        return "more than 1e308"
    return f"{size.value:,.0f}" if size.exact else f"about {size.value:.3g} ± {1.96 * size.stderr:.1g}"
