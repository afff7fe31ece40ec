"""Names that users import from the packages, and that stay where they are."""

from __future__ import annotations

import importlib

import pytest

PUBLIC = {
    "nas": "Architecture Bank NasError Score TaskBatch TaskShape Trial load open_run run_search",
    "nas.adapt": "adapt",
    "nas.cli": "app main",
    "nas.compare": "compare",
    "nas.config": "Config build from_json load shipped",
    "nas.controllers": "Evolution Grid LocalSearch OptunaSampler RandomSearch RegularizedEvolution Reinforce "
    "ReinforceNasBench201 ZophLe",
    "nas.errors": "ConfigError DataError NasError ProtocolError Rejected RunError SearchError SpaceError StoreError",
    "nas.evaluators": "MetaEvaluator Tabular ZeroCostEvaluator",
    "nas.evaluators.learners": "Anil FineTune Maml MetaSgd ProtoNet Reptile Ridge Scratch",
    "nas.evaluators.tasks": "Glyphs Omniglot Sequences Sinusoid SystemIdentification",
    "nas.executors": "InlineExecutor ProcessExecutor default_workers slots",
    "nas.export": "Exported Form Source export flat_name form_of load meta_learned restore source",
    "nas.registry": "create find is_controller names options_of",
    "nas.report": "TensorBoardLog write_html",
    "nas.runs": "open_run resume run_search",
    "nas.search": "SearchOptions search",
    "nas.search_spaces": "AugmentationPolicySpace Conv4 ConvChain Darts FewShotCell Mlp Mlp40 Mobile NasBench101 "
    "NasBench201 NasNet NniSpace RecurrentCell Transformer as_space",
    "nas.space": "Choose Count all_ends any_other count crossover decide enumerate_all mutate neighbours num_options "
    "options_taken replay sample sample_uniformly",
    "nas.store": "MemoryStore Store",
    "nas.testing": "ToySpace check_controller check_evaluator check_networks check_space check_task_family",
}


@pytest.mark.parametrize(("package", "names"), PUBLIC.items(), ids=PUBLIC)
def test_packages_offer_their_public_names(package: str, names: str) -> None:
    offered = importlib.import_module(package)
    missing = [name for name in names.split() if not hasattr(offered, name)]
    assert not missing
    assert set(names.split()) <= set(dir(offered))
