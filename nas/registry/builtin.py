"""Tables of the built-in components' names, and of the other forms that a name may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Room = Literal[
    "space", "controller", "evaluator", "tasks", "learner", "augmentation", "optimizer", "optimizee", "engine"
]
"""Kinds of components."""
BUILT_IN: Mapping[Room, Mapping[str, str]] = {
    "space": {
        "few-shot-cell": "nas.search_spaces.few_shot_cell.space:FewShotCell",
        "darts": "nas.search_spaces.cell_pairs.darts:Darts",
        "conv-chain": "nas.search_spaces.conv_chain.space:ConvChain",
        "recurrent-cell": "nas.search_spaces.recurrent_cell.space:RecurrentCell",
        "transformer": "nas.search_spaces.transformer.space:Transformer",
        "mlp": "nas.search_spaces.plain.mlp:Mlp",
        "mobile": "nas.search_spaces.mobile.space:Mobile",
        "nasnet": "nas.search_spaces.cell_pairs.nasnet:NasNet",
        "nas-bench-101": "nas.search_spaces.nas_bench_101.space:NasBench101",
        "nas-bench-201": "nas.search_spaces.nas_bench_201.space:NasBench201",
        "augmentation-policy": "nas.search_spaces.augmentation_policy.space:AugmentationPolicySpace",
        "recipe": "nas.search_spaces.recipe.space:RecipeSpace",
        "conv4": "nas.search_spaces.plain.fixed:Conv4",
        "mlp40": "nas.search_spaces.plain.fixed:Mlp40",
    },
    "controller": {
        "reinforce": "nas.controllers.reinforce:Reinforce",
        "evolution": "nas.controllers.evolution:Evolution",
        "regularized-evolution": "nas.controllers.regularized_evolution:RegularizedEvolution",
        "zoph-le": "nas.controllers.zoph_le:ZophLe",
        "reinforce-nas-bench-201": "nas.controllers.nas_bench_201_reinforce:ReinforceNasBench201",
        "local-search": "nas.controllers.local_search:LocalSearch",
        "grid": "nas.controllers.grid:Grid",
        "random": "nas.controllers.random_search:RandomSearch",
    },
    "evaluator": {
        "meta": "nas.evaluators.meta:MetaEvaluator",
        "recipe": "nas.evaluators.recipe:RecipeEvaluator",
        "supervised": "nas.evaluators.supervised:SupervisedEvaluator",
        "tabular": "nas.evaluators.tabular:Tabular",
        "zero-cost": "nas.evaluators.zero_cost:ZeroCostEvaluator",
    },
    "tasks": {
        "arrays": "nas.evaluators.tasks.arrays:Arrays",
        "fashion-mnist": "nas.evaluators.tasks.fashion_mnist:FashionMnist",
        "glyphs": "nas.evaluators.tasks.glyphs:Glyphs",
        "image-folder": "nas.evaluators.tasks.image_folder:ImageFolder",
        "labelled-arrays": "nas.evaluators.tasks.labelled_arrays:LabelledArrays",
        "labelled-images": "nas.evaluators.tasks.labelled_images:LabelledImages",
        "omniglot": "nas.evaluators.tasks.omniglot:Omniglot",
        "sequences": "nas.evaluators.tasks.sequences:Sequences",
        "sinusoid": "nas.evaluators.tasks.sinusoid:Sinusoid",
        "system-identification": "nas.evaluators.tasks.system_identification:SystemIdentification",
    },
    "learner": {
        "maml": "nas.evaluators.learners.maml:Maml",
        "anil": "nas.evaluators.learners.anil:Anil",
        "reptile": "nas.evaluators.learners.reptile:Reptile",
        "meta-sgd": "nas.evaluators.learners.meta_sgd:MetaSgd",
        "protonet": "nas.evaluators.learners.protonet:ProtoNet",
        "ridge": "nas.evaluators.learners.ridge:Ridge",
        "finetune": "nas.evaluators.learners.finetune:FineTune",
        "scratch": "nas.evaluators.learners.scratch:Scratch",
        "maml-sinusoid": "nas.evaluators.learners.published:MAML_SINUSOID",
        "maml-omniglot-5way": "nas.evaluators.learners.published:MAML_OMNIGLOT_5WAY",
        "maml-omniglot-20way": "nas.evaluators.learners.published:MAML_OMNIGLOT_20WAY",
        "reptile-omniglot-5way": "nas.evaluators.learners.published:REPTILE_OMNIGLOT_5WAY",
        "reptile-omniglot-5way-transductive": "nas.evaluators.learners.published:REPTILE_OMNIGLOT_5WAY_TRANSDUCTIVE",
        "reptile-omniglot-20way": "nas.evaluators.learners.published:REPTILE_OMNIGLOT_20WAY",
    },
    "augmentation": {
        "none": "nas.evaluators.augmentation.controls:NoAugmentation",
        "policy": "nas.evaluators.augmentation.policies:PolicyFile",
        "random-policy": "nas.evaluators.augmentation.controls:RandomPolicy",
        "rand-augment": "nas.evaluators.augmentation.controls:RandAugment",
        "trivial-augment": "nas.evaluators.augmentation.controls:TrivialAugment",
    },
    "optimizer": {
        "sgd": "nas.evaluators.supervised_training.optimizers:Sgd",
        "adam": "nas.evaluators.supervised_training.optimizers:Adam",
        "learned": "nas.evaluators.optimizers.learned:Learned",
    },
    "optimizee": {
        "quadratics": "nas.evaluators.optimizers.quadratics:Quadratics",
        "mlp": "nas.evaluators.optimizers.classifiers:Mlp",
        "convnet": "nas.evaluators.optimizers.classifiers:ConvNet",
    },
    "engine": {
        "inline": "nas.executors.engines:inline",
        "nni": "nas.executors.engines:nni",
        "processes": "nas.executors.engines:processes",
        "ray": "nas.executors.engines:ray",
    },
}
"""Classes by kind and name, as MODULE:CLASS."""
PREFIXES: Mapping[Room, Mapping[str, str]] = {
    "space": {"nni": "nas.search_spaces.nni.space:hub", "table": "nas.search_spaces.table.space:of_file"},
    "controller": {"optuna": "nas.controllers.optuna:sampler"},
}
"""Functions by the prefix of names of the form PREFIX:REST; each takes REST and returns a constructor."""
NAME_FORMS: Mapping[Room, Mapping[str, str]] = {
    "space": {
        "nni:NAME": "A space of NNI's hub, such as nni:DARTS.",
        "table:FILE": "The rows of a table, such as table:scores.csv.",
        "FILE.py:NAME": "A class of your own, such as my_space.py:TinyConvNet.",
    },
    "controller": {
        "optuna:NAME": "A sampler of Optuna, such as optuna:tpe.",
        "FILE.py:NAME": "A class of your own, such as annealing.py:Annealing.",
    },
    "tasks": {"FILE.py:NAME": "A class of your own, such as ripples.py:Ripples."},
    "learner": {"FILE.py:NAME": "A class of your own, such as line_search.py:LineSearch."},
}
"""Forms of the names that are not fixed, each with a line for `nas list`."""
USER_CLASSES: Mapping[Room, tuple[str, tuple[str, ...]]] = {
    "space": ("search space", ("decide", "build")),
    "controller": ("controller", ("ask", "tell")),
    "tasks": ("task family", ("tasks", "check", "describe")),
    "learner": ("learner", ("meta_gradient", "adapt", "check", "initial", "at")),
}
"""Kinds that may be a user's class, FILE.py:NAME: the kind's name in messages, and the methods that it needs."""
SPACE_ADAPTER = "nas.search_spaces.nni.space:as_space"
"""Function that adapts a user's class to a search space: a ModelSpace of NNI; a search space is returned as it is."""
OPTIMIZER_TRAINING = "nas.evaluators.optimizers.runs:of_tables"
"""Function that makes a training of a learned optimizer from the tables of its config."""
ENTRY_POINT_GROUPS: Mapping[Room, str] = {
    "space": "nas.search_spaces",
    "controller": "nas.controllers",
    "evaluator": "nas.evaluators",
    "tasks": "nas.tasks",
    "learner": "nas.learners",
    "augmentation": "nas.augmentations",
    "optimizer": "nas.optimizers",
    "optimizee": "nas.optimizees",
    "engine": "nas.engines",
}
"""Entry point groups in which other packages offer components."""
