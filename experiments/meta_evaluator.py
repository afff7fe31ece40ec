"""Evaluator `meta` of a config, for studies that train and score without a search."""

from __future__ import annotations

from nas import config as configs
from nas.config import Config
from nas.errors import ConfigError
from nas.evaluators import MetaEvaluator


def meta_evaluator(config: Config) -> MetaEvaluator:
    """The config's evaluator.

    Raises:
        ConfigError: It is another than `meta`, or an option is not accepted.
    """
    evaluator = configs.build(config).evaluator
    if not isinstance(evaluator, MetaEvaluator):
        raise ConfigError(f"evaluator {config.evaluator.name!r} trains no networks; use 'meta'")
    return evaluator
