"""Ready-to-run studies: one TOML each, found by name; benchmarks and results beside them."""
