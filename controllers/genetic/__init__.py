"""Parts of evolutionary controllers: operators, steady state, ranking by Pareto fronts."""
