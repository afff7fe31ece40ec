"""Conformance report of a task family or a learner for `nas check`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from .. import failures
from ..errors import NasError, SearchError
from ..executors.process_executor import ProcessExecutor
from ..failures import attempt, reason
from ..registry import components, user_files
from ..testing.learners import check_learner
from ..testing.tasks import check_task_family

LIMIT_S = 600.0
"""Time limit of the whole check, in seconds."""
TASKS_LAWS = (
    "A task is a function of its split and number; no query is in the support set; tasks differ between numbers and "
    "between splits"
)
LEARNER_LAWS = (
    "It adapts each task by itself, sees no query's label, and changes no argument; its gradients have the parameters' "
    "shapes"
)

CheckedKind = Literal["tasks", "learner"]


def check(kind: CheckedKind, target: str) -> str:
    """The verdict on a task family or a learner with its default options, as text.

    Args:
        kind: Its kind.
        target: Its name in the registry, or FILE.py:NAME.

    Raises:
        UnsoundComponent: It breaks a law; the message names the law and, in a user's file, a line.
        ConfigError: There is no such component, or it cannot be made without options.
    """
    cls = type(components.create(kind, target, {}))
    # The worker protects this process from code that ends its own.
    with ProcessExecutor(1, deadline_s=LIMIT_S) as executor:
        outcome = attempt(executor.submit(examine, kind, target).result)
    name = Path(target).name
    if outcome.error is not None:
        error = outcome.error
        text = str(error) if isinstance(error, NasError | AssertionError) else reason(error)
        method = "tasks" if kind == "tasks" else "adapt"
        needs_place = ".py:" not in text and user_files.is_user_class(cls)
        place = f" ({failures.place(cls, method, error)})" if needs_place else ""
        raise UnsoundComponent(f"{'task family' if kind == 'tasks' else kind} {name} is not sound: {text}{place}")
    return f"{name}: sound. {TASKS_LAWS if kind == 'tasks' else LEARNER_LAWS}."


class UnsoundComponent(SearchError):
    """The task family or learner breaks a law."""

    exit_status = 2


def examine(kind: CheckedKind, target: str) -> None:
    """Checks the laws in this process.

    Raises:
        AssertionError: A law is broken.
        NasError: Its data or its options cannot be used.
    """
    component = components.create(kind, target, {})
    if kind == "tasks":
        component.check()
        check_task_family(component)
    else:
        check_learner(component)
