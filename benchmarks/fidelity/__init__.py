"""How well scores rank networks whose worth is known."""
