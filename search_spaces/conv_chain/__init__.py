"""The space `conv-chain` and its networks."""
