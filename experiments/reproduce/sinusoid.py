"""Sinusoid regression from five points: MAML, the pre-training control and the oracle, with MAML's published settings.

    python -m nas.experiments.reproduce.sinusoid [--out FILE] [--json]

About 15 minutes a seed on one processor core. The work folder keeps finished rows, so that an interrupted
run can be continued.
"""

from __future__ import annotations

from .table import main

if __name__ == "__main__":
    main("sinusoid", "Sinusoid regression, 5 shots")
