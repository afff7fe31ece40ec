"""Import path of the tests: `helpers` is importable in this process, by pytest's `pythonpath`, and in its children."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
