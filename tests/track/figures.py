"""Figures as a reader sees them: places on the drawing, and the values that texts at ticks give them."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

PREFIXES = {"": 1.0, "%": 0.01, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@dataclass
class Element:
    """An element of the drawing."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    @property
    def kinds(self):
        return self.attributes.get("class", "").split()

    def all(self, tag, kind=None):
        """Return the elements of a tag, and of a class, inside."""
        inside = [found for child in self.children for found in child.all(tag, kind)]
        own = self.tag == tag and (kind is None or kind in self.kinds)
        return [self, *inside] if own else inside

    @property
    def title(self):
        return next((child.text for child in self.children if child.tag == "title"), "")


class _Tree(HTMLParser):
    VOID = ("meta", "path-", "br")

    def __init__(self, text):
        super().__init__()
        self.root = Element("root", {})
        self.open = [self.root]
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        made = Element(tag, dict(attrs))
        self.open[-1].children.append(made)
        if tag not in self.VOID:
            self.open.append(made)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag, tag

    def handle_data(self, data):
        self.open[-1].text += data


def tree(text):
    """Return what a text of HTML or SVG holds; every element is closed."""
    found = _Tree(text)
    assert len(found.open) == 1, [one.tag for one in found.open]
    return found.root


@dataclass
class Figure:
    """A figure: for each series its points, and the titles of what has one."""

    points: dict[str, list[tuple[float, float]]]
    titles: dict[str, list[str]]
    texts: list[str]


def value(text):
    """Return the value that a text at a tick stands for."""
    number, _, prefix = text.partition(" ")
    return float(number) * PREFIXES[prefix]


def axis(svg, kind):
    """Return the map from places to values that the ticks of an axis tell."""
    place = "x" if kind == "x" else "y"
    found = [(float(t.attributes[place]), value(t.text)) for t in svg.all("text", kind)]
    (a, low), (b, high) = found[0], found[-1]
    assert a != b
    for where, what in found:  # equal steps on the drawing are equal steps of the value
        assert abs(low + (where - a) / (b - a) * (high - low) - what) < 1e-2 * abs(high - low)
    return lambda where: low + (where - a) / (b - a) * (high - low)


def figure(element):
    """Return what a drawing of lines and points shows."""
    x, y = axis(element, "x"), axis(element, "y")
    side = axis(element, "side") if element.all("text", "side") else y
    points, titles = {}, {}
    for one in [*element.all("g"), *element.all("path")]:
        name = one.attributes.get("aria-label")
        if name is None:
            continue
        up = side if "dotted" in one.kinds else y
        places = _places(one)
        points.setdefault(name, []).extend((x(a), up(b)) for a, b in places)
        titles.setdefault(name, []).extend(t.text for t in one.all("title"))
    return Figure(points, titles, [one.text for one in element.all("text")])


def _places(one):
    if one.tag == "g":
        circles = one.all("circle")
        return [(float(c.attributes["cx"]), float(c.attributes["cy"])) for c in circles]
    places = []
    for command, numbers in re.findall(r"([MLHV])([^MLHVh]+)", one.attributes["d"]):
        n = list(map(float, numbers.split()))
        if command in "ML":
            places.append((n[0], n[1]))
        elif command == "H":
            places.append((n[0], places[-1][1]))
        else:  # a step goes right and then up, to the point itself
            places[-1] = (places[-1][0], n[0])
    return places
