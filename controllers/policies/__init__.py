"""Policies of REINFORCE controllers, their gradients and the reward baseline."""
