"""Operations on many tasks at once, each with its own weights."""
