"""Studies, benchmarks and shipped configs; their results stand in results/."""
