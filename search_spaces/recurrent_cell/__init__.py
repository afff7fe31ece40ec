"""The space `recurrent-cell` and its networks."""
