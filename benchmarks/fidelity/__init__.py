"""How well scores rank networks whose worth is known, and what finding that out costs."""
