"""Learned optimizers (Andrychowicz et al., arXiv 1606.04474) and the optimizers by hand that they are measured against."""
