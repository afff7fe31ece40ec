"""Numbers about results: intervals, comparisons, ranks, Pareto fronts."""
