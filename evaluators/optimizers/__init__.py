"""Learned optimizers (Andrychowicz et al., arXiv 1606.04474), and those by hand that they are measured against."""
