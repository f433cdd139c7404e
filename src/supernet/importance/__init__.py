"""How much channels matter, measured on data: one file per method.

An importance is given to `supernet.convert(..., sort=...)`, which puts channels in its order. What is
common to all is in `supernet.elastic.importance`.
"""

from supernet.elastic.importance import L1, Amounts, Importance, channel_importances
from supernet.importance.activation import Activation
from supernet.importance.damage import Damage
from supernet.importance.fisher import Fisher
from supernet.importance.taylor import Taylor

__all__ = [
    "L1",
    "Activation",
    "Amounts",
    "Damage",
    "Fisher",
    "Importance",
    "Taylor",
    "channel_importances",
]
