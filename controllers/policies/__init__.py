"""Parts of REINFORCE controllers: policies, their gradients, the reward baseline."""
