"""The schema and the page are those of the code, and the schema says what reading checks."""

from __future__ import annotations

import json
import random
from dataclasses import is_dataclass
from pathlib import Path

import pytest
from tests.json_changes import WRONG, changed, places

import supernet.track.ranking
import supernet.track.records
import supernet.track.sections
import supernet.track.watch
from supernet.errors import DamagedFileError
from supernet.record_fields import record_fields
from supernet.schema import descriptions
from supernet.track.metrics import Metrics, read_metrics
from supernet.track.published import PAGE, SCHEMAS, made_page, made_schema, write_published

DOCS = Path(__file__).parents[2] / "docs"
STALE = "it is stale: run `make made`"


def test_what_is_published_is_made_of_the_code(tmp_path):
    page = (DOCS / PAGE).read_text()
    for file in SCHEMAS:
        assert (DOCS / file).read_text() == made_schema(file), STALE
    assert made_page(page) == page, STALE
    (tmp_path / PAGE).write_text("a\n<!-- made: steps -->\nold\n<!-- end -->\nb\n")
    write_published(tmp_path)
    for file in SCHEMAS:
        assert (tmp_path / file).read_text() == made_schema(file)
    assert "| `search` | `evaluate`, `search`, `retrain.top`" in (tmp_path / PAGE).read_text()
    assert "old" not in (tmp_path / PAGE).read_text()


def test_every_key_is_described():
    found = [Metrics]
    modules = (supernet.track.records, supernet.track.sections)
    for module in (*modules, supernet.track.ranking, supernet.track.watch):
        found += [
            one for one in vars(module).values() if isinstance(one, type) and is_dataclass(one)
        ]
    assert len(found) > 20
    for kind in found:
        for field in record_fields(kind):
            if field.how != "inline":
                assert descriptions(kind).get(field.name), f"{kind.__name__}.{field.name}"
    told = descriptions(supernet.track.sections.TrainRecord)
    assert told["seconds"].startswith(
        "the time of training, that of interrupted attempts up to the"
    )
    assert told["stages"].endswith("has stages.")


def fits(value, schema, named):
    """Return whether a value is as a schema says, as far as ours say it."""
    if "$ref" in schema:
        return fits(value, named[schema["$ref"].rpartition("/")[2]], named)
    if "anyOf" in schema:
        return any(fits(value, one, named) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kinds = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
        "null": type(None),
        "array": list,
        "object": dict,
    }
    if "type" in schema:
        flag = isinstance(value, bool) and schema["type"] != "boolean"
        if flag or not isinstance(value, kinds[schema["type"]]):
            return False
    if isinstance(value, int | float):
        return schema.get("minimum", value) <= value <= schema.get("maximum", value)
    if isinstance(value, list):
        return all(fits(one, schema.get("items", {}), named) for one in value)
    if not isinstance(value, dict):
        return True
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    return (
        all(name in value for name in schema.get("required", ()))
        and all(fits(name, schema.get("propertyNames", {}), named) for name in value)
        and all(fits(one, known.get(name, others), named) for name, one in value.items())
    )


def of_architectures(place):
    """Return whether a place is in the answers of an architecture, of which the schema says little."""
    return "architecture" in place


@pytest.mark.quick_with("1", "2")
@pytest.mark.parametrize("draw", range(4))
def test_the_schema_says_what_reading_checks(tmp_path, draw):
    schema = json.loads(made_schema("schema/metrics.schema.json"))
    first = json.loads((Path(__file__).parent / "metrics_version_1.json").read_text())
    del first["digest"]
    assert fits(first, schema, schema["$defs"])
    draws, file, refused = random.Random(draw), tmp_path / "metrics.json", 0
    for place in draws.sample(
        [one for one in places(first) if one and not of_architectures(one)], 50
    ):
        new = draws.choice([one for one in WRONG if one != 10**30])  # which no schema refuses
        content = changed(first, place, new)
        file.write_text(json.dumps(content))
        try:
            read_metrics(file)
            damaged = False
        except DamagedFileError as error:
            damaged = "where one of [" not in str(error)  # names of networks, that are no types
        assert fits(content, schema, schema["$defs"]) != damaged, (place, new)
        refused += damaged
    assert 10 < refused < 50
