"""Study of how well cheap scores rank candidates."""
