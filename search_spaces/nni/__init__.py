"""The spaces `nni:NAME`, of NNI's hub or of a user's file, and their networks."""
