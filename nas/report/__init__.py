"""Reports of a run: TensorBoard events during the search, and a page afterwards."""

from .html import write_html
from .tensorboard import TensorBoardLog

__all__ = ["TensorBoardLog", "write_html"]
