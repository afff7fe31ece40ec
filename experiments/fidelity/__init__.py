"""Study of cheap scores: rank correlation with the full meta-training, and cost."""
