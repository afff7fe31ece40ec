"""Study of controllers on NAS-Bench-Graph, whose tables are read without unpickling them."""
