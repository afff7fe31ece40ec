"""Scripts that measure the toolkit itself, and print what was measured, on what machine."""
