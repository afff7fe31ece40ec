"""Chains of convolutions with skip connections, and their networks."""
