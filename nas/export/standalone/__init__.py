"""Code that an export folder holds as it stands here. It imports nothing of the project."""
