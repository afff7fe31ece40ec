"""Properties that every candidate's network must have."""
