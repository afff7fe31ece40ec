"""Panel of a run that goes on: counts, best candidate, running trials, time left, load."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..analysis.intervals import over_tasks
from ..failures import attempt
from ..report.formatting import listed
from ..report.terminal import duplicates_text, score_text
from ..trial import Trial

LATEST = 3
"""Number of the latest candidates that are shown."""
MOST_RUNNING = 8
"""Most running trials that are listed."""
GB = 1e9


@dataclass(frozen=True)
class RunView:
    """A search at one moment.

    Attributes:
        wanted: Candidates that it is to have.
        done: Candidates that it has.
        failed: Failed evaluations.
        duplicates: Trials of networks that were proposed before.
        leader: The best trial; None where none has a score.
        latest: The latest trials that ended, without duplicates.
        running: Seconds since each running trial began, by number.
        seconds: Seconds in which `candidates` were evaluated, from which the rate is computed.
        candidates: Number of candidates that ended in these seconds.
        finals_s: Estimated seconds of the finals; 0 where it is not known.
        measuring: Final measurements that are done, and their number (0: not known); None before the finals.
        warnings: The latest warnings.
    """

    wanted: int
    done: int = 0
    failed: int = 0
    duplicates: int = 0
    leader: Trial | None = None
    latest: Sequence[Trial] = ()
    running: Mapping[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    candidates: int = 0
    finals_s: float = 0.0
    measuring: tuple[int, int] | None = None
    warnings: Sequence[str] = ()


def panel_text(view: RunView, width: int) -> str:
    """The panel in lines of at most so many columns."""
    lines = [_counts(view), _best(view), _running(view), _times(view), _latest(view), load_text()]
    lines += [f"warning: {warning}" for warning in view.warnings]
    return "\n".join(textwrap.fill(line, width, subsequent_indent="  ") for line in lines if line)


def age_text(seconds: float) -> str:
    """'0:07', '12:30', '3 h', '2 d': a time in as many units as matter; 0 where the clock was set back meanwhile."""
    seconds = max(0.0, seconds)
    if seconds < 3600:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    hours = round(seconds / 3600)
    return f"{hours} h" if hours < 48 else f"{hours // 24} d"


def load_text() -> str:
    """The load of this machine, and the memory in use of its GPUs where torch tells it."""
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return load
    used = [attempt(torch.cuda.device_memory_used, index) for index in range(torch.cuda.device_count())]
    gpus = [f"GPU {i}: {u.value / GB:.1f} GB in use" for i, u in enumerate(used) if u.error is None]
    return " · ".join([load, *gpus])


def _counts(view: RunView) -> str:
    counts = [f"{view.done} of {view.wanted} done", f"{len(view.running)} running", f"{view.failed} failed"]
    return " · ".join([*counts, duplicates_text(view.duplicates)])


def _best(view: RunView) -> str:
    leader = view.leader
    if leader is None or leader.score is None:
        return "best: none scored yet"
    low, high = over_tasks(leader.score)
    return f"best {leader.value:.3f} (#{leader.number}), 95 % interval {low:.3f} – {high:.3f}"


def _running(view: RunView) -> str:
    shown = [f"#{number} for {age_text(age)}" for number, age in sorted(view.running.items())]
    more = [f"{len(shown) - MOST_RUNNING} more"] if len(shown) > MOST_RUNNING else []
    return f"running: {listed([*shown[:MOST_RUNNING], *more])}" if shown else ""


def _times(view: RunView) -> str:
    text = []
    if view.candidates and view.seconds > 0:
        rate = view.candidates / view.seconds
        left = max(0, view.wanted - view.done)
        text += [f"{60 * rate:.3g} a minute", f"search: about {age_text(left / rate)} left"]
    if view.measuring is not None:
        measured, of = view.measuring
        text.append(f"{measured}{f' of {of}' if of else ''} final measurements")
    if view.finals_s > 0:
        text.append(f"finals: about {age_text(view.finals_s)}{' left' if view.measuring else ''}")
    return " · ".join(text)


def _latest(view: RunView) -> str:
    latest = [
        f"#{trial.number} " + ("failed" if trial.state == "failed" else score_text(trial))
        for trial in reversed(view.latest[-LATEST:])
    ]
    return f"latest: {' · '.join(latest)}" if latest else ""
