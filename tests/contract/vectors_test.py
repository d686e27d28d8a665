#!/usr/bin/env python3
"""Checks the golden vectors with nothing but the JSON schema and msgpack.

Usage: vectors_test.py [PROGRAM]   (PROGRAM schema --format json prints the schema;
                                    without it, the environment's CAPSTAN_PROGRAM)

It makes each row's values by the rules of tests/kit/wire_sample.h, encodes them by the schema, and
compares with tests/contract/vectors/<name>.hex; and it reads each vector back by the schema.
"""
import json
import os
import pathlib
import subprocess
import sys

import msgpack

VECTORS = pathlib.Path(__file__).parent / "vectors"


def value_of(records, field, mode):
    key, power = field["key"], 7 ** field["key"] % 2**64
    if mode == "zero":
        return {"UINT": 0, "INT": 0, "BOOL": False, "STR": "", "BIN": b"", "REF": [0, 0],
                "LIST": []}[field["type"]]
    return {
        "UINT": lambda: power,
        "INT": lambda: -power,
        "BOOL": lambda: True,
        "STR": lambda: field["name"] + " é",
        "BIN": lambda: bytes(range(3 * key)),
        "REF": lambda: [key, key + 1] + ([power, key + 2] if key % 2 == 0 else []),
        "LIST": lambda: [body_of(records, records[field["record"]], element_mode)
                         for element_mode in ("all", "required")],
    }[field["type"]]()


def body_of(records, row, mode):
    return {field["key"]: value_of(records, field, mode)
            for field in row["fields"] if mode == "all" or field["required"]}


def check_types(records, row, body):
    """Reads a decoded body by the schema alone: known keys, ascending, each of its type."""
    fields = {field["key"]: field for field in row["fields"]}
    assert list(body) == sorted(body) and set(body) <= set(fields), f"{row['name']}: keys"
    python = {"UINT": int, "INT": int, "BOOL": bool, "STR": str, "BIN": bytes, "REF": list,
              "LIST": list}
    for key, value in body.items():
        kind = fields[key]["type"]
        assert type(value) is python[kind], f"{row['name']}.{fields[key]['name']}: {value!r}"
        for element in value if kind == "LIST" else []:
            check_types(records, records[fields[key]["record"]], element)
    for field in row["fields"]:
        assert not field["required"] or field["key"] in body, f"{row['name']}: {field['name']}"


def check_row(records, row):
    lines = (VECTORS / f"{row['name']}.hex").read_text().splitlines()
    vectors = {name: bytes.fromhex(digits) for name, digits in map(str.split, lines)}
    assert list(vectors) == ["all", "required", "zero"], f"{row['name']}: lines"
    for mode, vector in vectors.items():
        wanted = body_of(records, row, mode)
        assert msgpack.packb(wanted) == vector, f"{row['name']}, {mode}: {vector.hex()}"
        body = msgpack.unpackb(vector, strict_map_key=False)
        assert body == wanted, f"{row['name']}, {mode}: read {body}"
        check_types(records, row, body)


def main():
    program = sys.argv[1] if len(sys.argv) == 2 else os.environ.get("CAPSTAN_PROGRAM")
    if not program:
        sys.exit(__doc__)
    printed = subprocess.run([program, "schema", "--format", "json"], check=True,
                             stdout=subprocess.PIPE).stdout
    schema = json.loads(printed)
    records = {row["name"]: row for row in schema["records"]}
    rows = schema["messages"] + schema["records"]
    assert rows, "the schema has no rows"
    failures = 0
    for row in rows:
        try:
            check_row(records, row)
        except (AssertionError, OSError, ValueError) as error:
            failures += 1
            print(f"FAILED {error}")
    extra = {path.stem for path in VECTORS.glob("*.hex")} - {row["name"] for row in rows}
    if extra:
        failures += 1
        print(f"FAILED vectors without a row: {sorted(extra)}")
    print(f"{len(rows)} rows, {failures} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
