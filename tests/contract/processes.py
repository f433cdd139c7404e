"""What of a space must be the same in every process; as a script, of the spaces that are named."""

from __future__ import annotations

import hashlib
import importlib
import json
import random
import sys

import torch
from small_spaces import ARGUMENTS

import supernet as sn
from supernet.conversion import conversion_of
from supernet.cost import measure_costs
from supernet.zoo import SPACES


def built(name):
    """Return a small supernet of a space with weights of seed 0, and one example."""
    module, _, kind = SPACES[name].rpartition(".")
    arguments = ARGUMENTS[name]
    torch.manual_seed(0)
    supernet = sn.SuperNet(getattr(importlib.import_module(module), kind)(**arguments)).eval()
    if "vocabulary" in arguments:
        return supernet, torch.arange(7)[None] % arguments["vocabulary"]
    return supernet, torch.randn(1, *arguments["image"])


def seen(name):
    """Return digests of the space, its costs, its networks, and what they compute."""
    supernet, example = built(name)
    stream = random.Random(0)
    drawn = [supernet.space.sample(stream) for _ in range(4)]
    derived = [sn.derive(supernet, architecture) for architecture in drawn]
    rows = [conversion_of(module) for module in supernet.modules()]
    found = {
        "space": [repr(decision) for decision in supernet.space.decisions],
        "drawn": [architecture.key for architecture in drawn],
        "costs": {name: t.digest for name, t in measure_costs(supernet, example).items()},
        "weights": [[*module.state_dict()] for module in (supernet, *derived)],
        "modules": [repr(module) for module in (supernet, *derived)],
        "outputs": [module(example).tolist() for module in derived],
        "rows": repr([row for row in rows if row is not None]),
    }
    return {
        what: hashlib.sha256(json.dumps(value).encode()).hexdigest()
        for what, value in found.items()
    }


if __name__ == "__main__":
    print(json.dumps({name: seen(name) for name in sys.argv[1:]}))
