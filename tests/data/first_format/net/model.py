import torch
from torch import nn


class Network(nn.Module):
    """Architecture 06f3efc7ba95ee7b of the search space few-shot-cell, written by adaptnas 0.1.0.

    Takes float32 inputs of shape (batch, 1, 28, 28) and returns 3 class scores each.

    To load the weights (pip install torch safetensors):

        from safetensors.torch import load_file
        network = Network()
        network.load_state_dict(load_file('weights.safetensors'))

    They are meta-learned initial weights, made to be adapted: before use, take the recipe's few gradient steps on the
    cross-entropy of a few labelled examples of your own task.

    Recipe (the whole of it is in architecture.json):
      run: complete
      seed: 1
      test.value: 0.4444444552063942
      test.interval: [0.2797304456456346, 0.622344657152851]
      test.protocol.learner.name: anil
      test.protocol.learner.inner_lr: 0.1
      test.protocol.learner.steps: 2
      test.protocol.learner.outer_lr: 0.001
      test.protocol.learner.learn_lr: false
      test.protocol.learner.inner_optimizer: sgd
      test.protocol.learner.reduction: mean
      test.protocol.norm: group
      test.protocol.head_norm: true
      test.protocol.budget: 4
      test.protocol.tasks_per_step: 2
      test.protocol.train_queries: 0
      test.protocol.anneal: true
      test.protocol.tf32: false
      test.protocol.schedule: 4
      test.protocol.bank.split: test
      test.protocol.bank.first: 0
      test.protocol.bank.count: 8
      test.protocol.bank.hash: 88813ca721b52f54
      test.protocol.tasks.name: glyphs
      test.protocol.tasks.ways: 3
      test.protocol.tasks.shots: 1
      test.protocol.tasks.queries: 3
      test.protocol.tasks.seed: 0
      test.protocol.tasks.drawers: 20
      test.protocol.tasks.digest: 3c9e0728acfb043b
      config.space.name: few-shot-cell
      config.space.widths: [4]
      config.space.depths: [1, 2]
      config.tasks.name: glyphs
      config.tasks.ways: 3
      config.tasks.shots: 1
      config.tasks.queries: 3
      config.controller.name: evolution
      config.controller.population: 2
      config.controller.tournament: 2
      config.evaluator.name: meta
      config.evaluator.learner.name: anil
      config.evaluator.learner.inner_lr: 0.1
      config.evaluator.learner.steps: 2
      config.evaluator.budget: 4
      config.evaluator.tasks_per_step: 2
      config.evaluator.validation_tasks: 8
      config.search.trials: 4
      config.search.seconds: 0.0
      config.search.workers: 1
      config.search.device: cpu
      config.search.seed: 0
      config.search.repeats: known
      config.search.deadline_s: 0.0
      config.search.control: random
      config.search.fidelity: null
      config.search.constraints: null
      config.final.top: 2
      config.final.seeds: 2
      config.final.budget: 4
      …
    """

    def __init__(self) -> None:
        super().__init__()

        # stem
        self.stem_0 = nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False)
        self.stem_1 = nn.GroupNorm(1, 4)
        self.stem_2 = nn.ReLU()

        # cells.0
        self.cells_0_operations_edge0_1 = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.cells_0_operations_edge0_2_0 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.cells_0_operations_edge0_2_1 = nn.GroupNorm(1, 4)
        self.cells_0_operations_edge0_2_2 = nn.ReLU()
        self.cells_0_operations_edge1_2_0 = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.cells_0_operations_edge1_2_1 = nn.Conv2d(4, 4, 1, bias=False)
        self.cells_0_operations_edge1_2_2 = nn.GroupNorm(1, 4)
        self.cells_0_operations_edge1_2_3 = nn.ReLU()
        self.cells_0_operations_edge0_3_0 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.cells_0_operations_edge0_3_1 = nn.GroupNorm(1, 4)
        self.cells_0_operations_edge0_3_2 = nn.ReLU()
        self.cells_0_operations_edge1_3 = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.cells_0_operations_edge2_3 = nn.MaxPool2d(3, stride=1, padding=1)

        # cells.1
        self.cells_1_operations_edge0_1 = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.cells_1_operations_edge0_2_0 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.cells_1_operations_edge0_2_1 = nn.GroupNorm(1, 4)
        self.cells_1_operations_edge0_2_2 = nn.ReLU()
        self.cells_1_operations_edge1_2_0 = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.cells_1_operations_edge1_2_1 = nn.Conv2d(4, 4, 1, bias=False)
        self.cells_1_operations_edge1_2_2 = nn.GroupNorm(1, 4)
        self.cells_1_operations_edge1_2_3 = nn.ReLU()
        self.cells_1_operations_edge0_3_0 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.cells_1_operations_edge0_3_1 = nn.GroupNorm(1, 4)
        self.cells_1_operations_edge0_3_2 = nn.ReLU()
        self.cells_1_operations_edge1_3 = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.cells_1_operations_edge2_3 = nn.MaxPool2d(3, stride=1, padding=1)

        # cells
        self.cells_2 = nn.MaxPool2d(2)

        # pool
        self.pool_0 = nn.AdaptiveAvgPool2d(3)
        self.pool_1 = nn.Flatten()

        # head
        self.head_norm = nn.LayerNorm((36,), elementwise_affine=False)
        self.head_linear = nn.Linear(36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # stem
        stem = self.stem_0(x)
        stem = self.stem_1(stem)
        stem = self.stem_2(stem)

        # cells.0
        cells_0_operations_edge0_1 = self.cells_0_operations_edge0_1(stem)
        cells_0_operations_edge0_2 = self.cells_0_operations_edge0_2_0(stem)
        cells_0_operations_edge0_2 = self.cells_0_operations_edge0_2_1(cells_0_operations_edge0_2)
        cells_0_operations_edge0_2 = self.cells_0_operations_edge0_2_2(cells_0_operations_edge0_2)
        cells_0_operations_edge1_2 = self.cells_0_operations_edge1_2_0(cells_0_operations_edge0_1)
        cells_0_operations_edge1_2 = self.cells_0_operations_edge1_2_1(cells_0_operations_edge1_2)
        cells_0_operations_edge1_2 = self.cells_0_operations_edge1_2_2(cells_0_operations_edge1_2)
        cells_0_operations_edge1_2 = self.cells_0_operations_edge1_2_3(cells_0_operations_edge1_2)
        cells_0 = cells_0_operations_edge0_2 + cells_0_operations_edge1_2
        cells_0_operations_edge0_3 = self.cells_0_operations_edge0_3_0(stem)
        cells_0_operations_edge0_3 = self.cells_0_operations_edge0_3_1(cells_0_operations_edge0_3)
        cells_0_operations_edge0_3 = self.cells_0_operations_edge0_3_2(cells_0_operations_edge0_3)
        cells_0_operations_edge0_1 = self.cells_0_operations_edge1_3(cells_0_operations_edge0_1)
        cells_0_2 = cells_0_operations_edge0_3 + cells_0_operations_edge0_1
        cells_0 = self.cells_0_operations_edge2_3(cells_0)
        cells_0_2 = cells_0_2 + cells_0

        # cells.1
        cells_1_operations_edge0_1 = self.cells_1_operations_edge0_1(cells_0_2)
        cells_1_operations_edge0_2 = self.cells_1_operations_edge0_2_0(cells_0_2)
        cells_1_operations_edge0_2 = self.cells_1_operations_edge0_2_1(cells_1_operations_edge0_2)
        cells_1_operations_edge0_2 = self.cells_1_operations_edge0_2_2(cells_1_operations_edge0_2)
        cells_1_operations_edge1_2 = self.cells_1_operations_edge1_2_0(cells_1_operations_edge0_1)
        cells_1_operations_edge1_2 = self.cells_1_operations_edge1_2_1(cells_1_operations_edge1_2)
        cells_1_operations_edge1_2 = self.cells_1_operations_edge1_2_2(cells_1_operations_edge1_2)
        cells_1_operations_edge1_2 = self.cells_1_operations_edge1_2_3(cells_1_operations_edge1_2)
        cells_1 = cells_1_operations_edge0_2 + cells_1_operations_edge1_2
        cells_1_operations_edge0_3 = self.cells_1_operations_edge0_3_0(cells_0_2)
        cells_1_operations_edge0_3 = self.cells_1_operations_edge0_3_1(cells_1_operations_edge0_3)
        cells_1_operations_edge0_3 = self.cells_1_operations_edge0_3_2(cells_1_operations_edge0_3)
        cells_1_operations_edge0_1 = self.cells_1_operations_edge1_3(cells_1_operations_edge0_1)
        cells_1_2 = cells_1_operations_edge0_3 + cells_1_operations_edge0_1
        cells_1 = self.cells_1_operations_edge2_3(cells_1)
        cells_1_2 = cells_1_2 + cells_1

        # cells
        cells = self.cells_2(cells_1_2)

        # pool
        pool = self.pool_0(cells)
        pool = self.pool_1(pool)

        # head
        head_norm = self.head_norm(pool)
        head_norm = self.head_linear(head_norm)

        return head_norm
