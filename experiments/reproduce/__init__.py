"""Published numbers, measured again: a script and a TOML each, which print the published number beside ours."""
