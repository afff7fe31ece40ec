"""What a run looks like: TensorBoard events while it goes on, a page when it is over."""

from .html import write_html
from .tensorboard import TensorBoardLog

__all__ = ["TensorBoardLog", "write_html"]
