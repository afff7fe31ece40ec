"""A small config for tests of search spaces and controllers in a user's files."""

CONFIG = """
[space]
name = "mlp"
max_depth = 1
[controller]
name = "random"
[tasks]
name = "sinusoid"
shots = 4
queries = 4
[evaluator]
learner = { name = "maml", inner_lr = 0.01, steps = 2 }
norm = "none"
tasks_per_step = 2
validation_tasks = 4
[search]
device = "cpu"
[final]
baseline = "mlp40"
"""
