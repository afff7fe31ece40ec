"""Search spaces written for NNI, and their networks."""
