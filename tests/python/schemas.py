"""Checks documents against the published schemas, with a validator that knows nothing of Sternline.

Reads {"folder": DIR, "checks": [{"schema": NAME, "document": ANY}, ...]} from standard input, and writes a list with one item
for each check: what is wrong with the document, nothing if it is right, and which of its top-level names the schema does not
describe.
"""

import json
import pathlib
import sys

import referencing
from jsonschema import Draft202012Validator

request = json.load(sys.stdin)
schemas = {path.stem: json.loads(path.read_text()) for path in sorted(pathlib.Path(request["folder"]).glob("*.json"))}
for name, schema in schemas.items():
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:sternline:schema:{name}", f"{name} is called {schema['$id']}"
registry = referencing.Registry().with_resources(
    (schema["$id"], referencing.Resource.from_contents(schema)) for schema in schemas.values()
)
answers = []
for check in request["checks"]:
    schema, document = schemas[check["schema"]], check["document"]
    validator = Draft202012Validator(schema, registry=registry)
    wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
    described = set(schema.get("properties", {}))
    answers.append({"wrong": wrong, "undescribed": sorted(set(document) - described)})
json.dump({"schemas": sorted(schemas), "answers": answers}, sys.stdout)
