"""Checks of components: `nas check`, and what a launch checks before anything is written."""
