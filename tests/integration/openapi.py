"""A description in OpenAPI 3.0 and a check of answers against it: as much of the standard as docs/openapi.yaml uses.

A keyword it does not know is an error, so that nothing in the description goes unchecked without anybody noticing.
"""

import json
import re

import yaml

SAYS_NOTHING = {"description", "example", "default", "nullable", "title"}
FORMATS = {"date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"}


class Mismatch(AssertionError):
    """An answer that the description does not allow."""


class Description:
    """paths and schemas of a file; `seen` collects (path, status) of every answer that was checked."""

    def __init__(self, text):
        self.text, self.doc, self.seen = text, yaml.safe_load(text), set()

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            assert len(node) == 1, f"beside $ref nothing counts: {node}"
            path, node = node["$ref"], self.doc
            assert path.startswith("#/"), path
            for key in path[2:].split("/"):
                node = node[key]
        return node

    def answer(self, path, status, content_type, body):
        """Checks one answer to GET; returns the decoded body."""
        operation = self.doc["paths"][path]["get"]
        responses = operation["responses"]
        if str(status) not in responses:
            raise Mismatch(f"{path} may not answer {status}: {body[:300]!r}")
        content = self.resolve(responses[str(status)])["content"]
        if content_type not in content:
            raise Mismatch(f"{path} {status}: type {content_type}, described {sorted(content)}")
        schema = content[content_type]["schema"]
        value = json.loads(body) if content_type == "application/json" else body.decode()
        self.value(schema, value, f"{path} {status}")
        self.seen.add((path, status))
        return value

    def value(self, schema, value, at):
        """Raises Mismatch unless the value fits the schema."""
        schema = self.resolve(schema)
        if value is None and schema.get("nullable"):
            return
        for key, want in schema.items():
            if key in SAYS_NOTHING:
                continue
            check = getattr(self, "k_" + key, None)
            assert check, f"{at}: keyword {key} is not known here"
            check(want, value, at, schema)

    @staticmethod
    def must(holds, at, text):
        if not holds:
            raise Mismatch(f"{at}: {text}")

    def k_type(self, want, value, at, _):
        kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
        good = isinstance(value, kinds[want]) and (want == "boolean" or not isinstance(value, bool))
        self.must(good, at, f"{value!r} is no {want}")

    def k_enum(self, want, value, at, _):
        self.must(value in want, at, f"{value!r} is none of {want}")

    def k_required(self, want, value, at, _):
        self.must(not set(want) - set(value), at, f"without {sorted(set(want) - set(value))}")

    def k_properties(self, want, value, at, _):
        for key in value:
            if key in want:
                self.value(want[key], value[key], f"{at}.{key}")

    def k_additionalProperties(self, want, value, at, schema):
        assert want is False
        extra = set(value) - set(schema["properties"])
        self.must(not extra, at, f"undescribed {sorted(extra)}")

    def k_items(self, want, value, at, _):
        for i, item in enumerate(value):
            self.value(want, item, f"{at}[{i}]")

    def k_allOf(self, want, value, at, _):
        for part in want:
            self.value(part, value, at)

    def k_minimum(self, want, value, at, _):
        self.must(value >= want, at, f"{value} < {want}")

    def k_maximum(self, want, value, at, _):
        self.must(value <= want, at, f"{value} > {want}")

    def k_minLength(self, want, value, at, _):
        self.must(len(value) >= want, at, f"shorter than {want}")

    def k_maxItems(self, want, value, at, _):
        self.must(len(value) <= want, at, f"{len(value)} items, at most {want}")

    def k_pattern(self, want, value, at, _):
        self.must(re.search(want, value), at, f"{value!r} does not match {want}")

    def k_format(self, want, value, at, _):
        self.must(re.fullmatch(FORMATS[want], value), at, f"{value!r} is no {want}")
