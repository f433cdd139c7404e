"""Small spaces of the zoo."""

SMALL = {"image": (1, 6, 6), "classes": 4}
CHAIN = {**SMALL, "depths": (2, 3), "strides": (1, 2), "stem_stride": 1, "features": 5}

ARGUMENTS = {
    "autoformer": {
        **SMALL,
        "patch": 2,
        "widths": (4, 6),
        "heads": (1, 2),
        "ratios": (1, 1.5),
        "depths": (1, 2, 3),
        "head": 2,
    },
    "bender": {**SMALL, "channels": 3, "groups": (1, 1), "blocks": 2},
    "converted": {
        **SMALL,
        "arguments": {"widths": (4, 6), "blocks": 2},
        "widths": (0.5, 1.0),
        "multiple": 2,
        "depth": 0.0,
    },
    "darts": {**SMALL, "cells": 3, "channels": 3, "nodes": 2},
    "enas-macro": {**SMALL, "layers": 4, "channels": 4},
    "enas-micro": {**SMALL, "cells": 3, "channels": 4, "blocks": 2},
    "gpt": {
        "vocabulary": 9,
        "context": 8,
        "widths": (4, 6),
        "heads": (1, 2),
        "head": 2,
        "ratios": (1, 1.5),
        "depths": (1, 2, 3),
    },
    "nasbench-macro": {**SMALL, "channels": 3, "stages": (2, 3), "features": 5},
    "nasbench1shot1": {**SMALL, "channels": 3, "cells": 1, "stacks": 2},
    "nasbench201": {**SMALL, "channels": 3, "cells": 1, "stages": 2},
    "ofa": {
        **SMALL,
        "stem": 2,
        "widths": ((2, 4), (4,)),
        "strides": (1, 2),
        "depths": (1, 2),
        "kernels": (1, 3),
        "expansions": (1, 2),
        "features": 3,
        "stem_stride": 1,
        "squeeze": (False, True),
        "activations": ("relu", "hswish"),
        "resolutions": (4, 6),
    },
    "ofa-resnet": {
        **SMALL,
        "stem": 16,
        "widths": (16, 24),
        "multipliers": (0.5, 1),
        "strides": (1, 2),
        "depths": ((1, 2), (1, 2)),
        "expansions": (0.25, 0.5),
        "stem_strides": (1, 1),
    },
    "singlepath": {**CHAIN, "stem": 3, "first": 2, "widths": (2, 3)},
    "smash": {**SMALL, "banks": 2, "channels": 2, "stages": (2, 1), "bottleneck": 2},
    "spos": {**CHAIN, "stem": 2, "widths": (4, 6)},
    "textnas": {"vocabulary": 9, "classes": 4, "layers": 3, "width": 4, "embedding": 4, "heads": 2},
    "proxyless": {**CHAIN, "stem": 3, "first": 2, "widths": (2, 3)},
}
"""By space, arguments of a small one; one that is missing here fails."""
