"""The spaces `mlp`, `conv4` and `mlp40`: multilayer perceptrons and the fixed baseline networks."""
