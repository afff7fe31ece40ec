"""Published settings of learners: a class, its name in protocols, and the options of the experiment.

Each option can still be set beside the name. What else an experiment fixed is set where it belongs: the outer steps and
the tasks of each in the config, the normalisation in the evaluator, the data in the task family.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from .maml import Maml
from .reptile import Reptile


def _setting(
    learner: type[Maml] | type[Reptile], name: str, description: str, **options: float | str
) -> Callable[..., Maml | Reptile]:
    """A constructor of the learner with other default options; its docstring is what `nas list learners` prints."""
    setting = partial(learner, name=name, **options)  # type: ignore[arg-type]  # the options of two classes
    setting.__doc__ = description
    return setting


MAML_SINUSOID: Final = _setting(
    Maml,
    "maml-sinusoid",
    """MAML as published for sinusoids (Finn et al., arXiv 1703.03400, section 5.1).

    Published with norm none, 25 tasks a step and 70,000 steps at a constant outer rate.
    """,
    inner_lr=0.01,
    train_steps=1,
    steps=10,
)
MAML_OMNIGLOT_5WAY: Final = _setting(
    Maml,
    "maml-omniglot-5way",
    """MAML as published for 5-way 1-shot Omniglot (Finn et al., section 5.2).

    Published with norm batch, 32 tasks a step and one query a class, at a constant outer rate. The authors' code has
    inner rate 0.4 on the sum of the classes' losses: 5 × 0.4 on the mean, which is taken here. The code takes 40,000
    outer steps and adapts with 10 inner steps; the paper names 60,000 and 3, and the adaptation curve has step 3 too.
    """,
    inner_lr=2.0,
    train_steps=1,
    steps=10,
)
MAML_OMNIGLOT_20WAY: Final = _setting(
    Maml,
    "maml-omniglot-20way",
    """MAML as published for 20-way 1-shot Omniglot.

    Like maml-omniglot-5way, but with 16 tasks a step; the inner rate is 20 × 0.1.
    """,
    inner_lr=2.0,
    train_steps=5,
    steps=10,
)
REPTILE_OMNIGLOT_5WAY: Final = _setting(
    Reptile,
    "reptile-omniglot-5way",
    """Reptile as its authors ran it for 5-way 1-shot Omniglot (arXiv 1803.02999).

    Published with 3 tasks a step, 200,000 steps, 12 examples a class in meta-training (one shot and 11 queries), and an
    outer rate that falls to zero.
    """,
    inner_lr=0.00044,
    train_steps=12,
    batch=5,
    steps=86,
    optimizer_state="kept",
)
REPTILE_OMNIGLOT_5WAY_TRANSDUCTIVE: Final = _setting(
    Reptile,
    "reptile-omniglot-5way-transductive",
    """Reptile as its authors ran it for 5-way 1-shot Omniglot with all queries predicted at once (norm batch).

    Like reptile-omniglot-5way, but with 10 tasks a step, 100,000 steps and 15 examples a class.
    """,
    inner_lr=0.001,
    train_steps=3,
    batch=25,
    steps=5,
    optimizer_state="kept",
)
REPTILE_OMNIGLOT_20WAY: Final = _setting(
    Reptile,
    "reptile-omniglot-20way",
    """Reptile as its authors ran it for 20-way 1-shot Omniglot.

    Like reptile-omniglot-5way, but with 9 examples a class. The authors adapt with batches of 10 of the 20 support
    examples; here each step takes all of them.
    """,
    inner_lr=0.00046,
    train_steps=12,
    batch=15,
    steps=97,
    optimizer_state="kept",
)
