"""Omniglot, 5-way 1-shot, by MAML, first-order MAML, ANIL, Reptile, prototypical networks and the pre-training control.

    python -m nas.experiments.reproduce.omniglot --path OMNIGLOT [--schedule full] [--out FILE] [--json]

`--schedule cpu`, the default, is shortened to about an hour on one processor core; `--schedule full` is for a GPU.
The work folder keeps finished rows, so that an interrupted run can be continued.
"""

from __future__ import annotations

from .table import main

if __name__ == "__main__":
    main("omniglot", "Omniglot, 5-way 1-shot, transductive", data=True)
