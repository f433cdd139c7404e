"""One-shot neural architecture search on PyTorch.

Names are loaded when they are used, so that importing the package (and `supernet --help`) does not
wait for PyTorch.
"""

import importlib

# `python -m supernet` looks for modules in the working directory first; fewer are asked for like this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from supernet import importance
    from supernet.choice import Choice, InputChoice, Routing
    from supernet.conversion import convert
    from supernet.errors import SupernetError
    from supernet.net import SuperNet, derive
    from supernet.net.export import export
    from supernet.net.pretrained import as_pretrained
    from supernet.pipeline import Compressed, Ranking, Result, compress, rank, run
    from supernet.space import Architecture, SearchSpace
    from supernet.training_free import training_free_scores

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "Choice",
    "Compressed",
    "InputChoice",
    "Ranking",
    "Result",
    "Routing",
    "SearchSpace",
    "SuperNet",
    "SupernetError",
    "as_pretrained",
    "compress",
    "convert",
    "derive",
    "export",
    "importance",
    "rank",
    "run",
    "training_free_scores",
]

_LAZY = {
    "Architecture": "space",
    "Choice": "choice",
    "Compressed": "pipeline",
    "InputChoice": "choice",
    "Ranking": "pipeline",
    "Result": "pipeline",
    "Routing": "choice",
    "SearchSpace": "space",
    "SuperNet": "net",
    "SupernetError": "errors",
    "as_pretrained": "net.pretrained",
    "compress": "pipeline",
    "convert": "conversion",
    "derive": "net",
    "export": "net.export",
    "importance": "importance",
    "rank": "pipeline",
    "run": "pipeline",
    "training_free_scores": "training_free",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'supernet' has no attribute {name!r}")
    module = importlib.import_module(f"supernet.{_LAZY[name]}")
    return module if name == _LAZY[name] else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
