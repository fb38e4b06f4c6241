"""docs/sluice.schema.json and the parser say the same of the examples; but for what a schema cannot say (bad_unseen)."""
import json
import pathlib

import jsonschema
import pytest

HERE = pathlib.Path(__file__).parent
SCHEMA = json.loads((HERE.parents[3] / "docs/sluice.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def examples(folder):
    found = sorted((HERE / folder).glob("*.json"))
    assert found, folder
    return found


def test_the_schema_is_one():
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", examples("good") + examples("bad_unseen"), ids=lambda p: p.name)
def test_it_takes(path):
    VALIDATOR.validate(json.loads(path.read_text()))


@pytest.mark.parametrize("path", examples("bad"), ids=lambda p: p.name)
def test_it_refuses(path):
    assert not VALIDATOR.is_valid(json.loads(path.read_text()))
