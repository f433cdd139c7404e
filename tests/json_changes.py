"""JSON content with one value replaced, for tests of files that were changed."""

import copy

WRONG = (None, True, -1, 0.5, 10**30, "x", [], {}, [1], {"a": 1})


def places(value, place=()):
    """Yield where there is a value, as keys and indices from the outside in."""
    yield place
    items = enumerate(value) if isinstance(value, list) else ()
    for name, one in value.items() if isinstance(value, dict) else items:
        yield from places(one, (*place, name))


def changed(content, place, new):
    """Return a copy of the content with another value at a place."""
    content = copy.deepcopy(content)
    outer = content
    for part in place[:-1]:
        outer = outer[part]
    outer[place[-1]] = new
    return content
