"""The space `few-shot-cell` and its networks."""
