"""Learners with the options of published experiments, by name. Every option can still be set beside the name.

What else an experiment fixed is set where it belongs: the outer steps and tasks of each, the normalisation, the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .maml import Maml
from .reptile import Reptile


@dataclass(frozen=True)
class MamlSinusoid(Maml):
    """MAML as published for sinusoids (Finn et al., arXiv 1703.03400, section 5.1).

    Published with norm none, 25 tasks a step and 70,000 steps at a constant outer rate.
    """

    inner_lr: float = 0.01
    train_steps: int = 1
    steps: int = 10
    name = "maml-sinusoid"


@dataclass(frozen=True)
class MamlOmniglot5Way(Maml):
    """MAML as published for 5-way 1-shot Omniglot (Finn et al., section 5.2).

    Published with norm batch, 32 tasks a step and one query a class, at a constant outer rate. The authors' code has
    inner rate 0.4 on the sum of the classes' losses: 5 × 0.4 on the mean, which is taken here. It takes 40,000 outer
    steps and adapts with 10; the paper names 60,000 and 3, which the curve has too.
    """

    inner_lr: float = 2.0
    train_steps: int = 1
    steps: int = 10
    name = "maml-omniglot-5way"


@dataclass(frozen=True)
class MamlOmniglot20Way(Maml):
    """MAML as published for 20-way 1-shot Omniglot.

    Like `MamlOmniglot5Way`, but with 16 tasks a step; the rate is 20 × 0.1.
    """

    inner_lr: float = 2.0
    train_steps: int = 5
    steps: int = 10
    name = "maml-omniglot-20way"


@dataclass(frozen=True)
class ReptileOmniglot5Way(Reptile):
    """Reptile as its authors ran it for 5-way 1-shot Omniglot (arXiv 1803.02999).

    Published with 3 tasks a step, 200,000 steps, 12 examples a class in meta-training (one shot and 11 queries), and an
    outer rate that falls to zero.
    """

    inner_lr: float = 0.00044
    train_steps: int = 12
    batch: int = 5
    steps: int = 86
    optimizer_state: Literal["fresh", "kept"] = "kept"
    name = "reptile-omniglot-5way"


@dataclass(frozen=True)
class ReptileOmniglot5WayTransductive(Reptile):
    """Reptile as its authors ran it for 5-way 1-shot Omniglot with all queries predicted at once (norm batch).

    Like `ReptileOmniglot5Way`, but with 10 tasks a step, 100,000 steps and 15 examples a class.
    """

    inner_lr: float = 0.001
    train_steps: int = 3
    batch: int = 25
    steps: int = 5
    optimizer_state: Literal["fresh", "kept"] = "kept"
    name = "reptile-omniglot-5way-transductive"


@dataclass(frozen=True)
class ReptileOmniglot20Way(Reptile):
    """Reptile as its authors ran it for 20-way 1-shot Omniglot.

    Like `ReptileOmniglot5Way`, but with 9 examples a class. The authors adapt with batches of 10 of the 20 support
    examples; here each step takes all of them.
    """

    inner_lr: float = 0.00046
    train_steps: int = 12
    batch: int = 15
    steps: int = 97
    optimizer_state: Literal["fresh", "kept"] = "kept"
    name = "reptile-omniglot-20way"
