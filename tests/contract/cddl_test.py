#!/usr/bin/env python3
"""Reads what `capstan schema --format cddl` prints, by the part of RFC 8610's grammar that it uses,
and checks the golden vectors with it: each matches its own rule, and no longer does when a required
field is missing, a field has another type, or a key is out of range.
"""
import json
import os
import pathlib
import re
import subprocess
import unittest

import msgpack

SOURCE = pathlib.Path(os.environ.get("CAPSTAN_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
PROGRAM = os.environ.get("CAPSTAN_PROGRAM", str(SOURCE / "build" / "dev" / "capstan"))
PRELUDE = {"uint": lambda v: type(v) is int and v >= 0, "bool": lambda v: type(v) is bool,
           "tstr": lambda v: type(v) is str, "bstr": lambda v: type(v) is bytes,
           "any": lambda v: True}
TOKEN = re.compile(r"\s*(?:;[^\n]*\n\s*)*(=>|\.\.|\.size|-?\d+|[A-Za-z_][\w-]*|[=/:,?*{}()\[\]])")


class Grammar:
    """rule = name "=" type; type = type1 *("/" type1); types are functions from value to bool.

    A group is a list of (minimum, maximum, key, type or group); a key is a number, a type or None.
    """

    def __init__(self, text):
        self.tokens, self.at, self.rules, self.maps, self.last_map = [], 0, {}, {}, None
        end = 0
        while match := TOKEN.match(text, end):
            self.tokens.append(match.group(1))
            end = match.end()
        rest = re.sub(r"\s*;[^\n]*\n?", "", text[end:]).strip()
        assert not rest, f"cannot be read: {rest[:60]}"
        while self.at < len(self.tokens):
            name = self.take()
            self.take("=")
            assert name not in self.rules and name not in PRELUDE, f"{name} is there twice"
            self.rules[name] = self.type()
            self.maps[name] = self.last_map
        names = {token for token in self.tokens if re.match("[A-Za-z_]", token)}
        missing = names - set(self.rules) - set(PRELUDE)
        assert not missing, f"rules that are not there: {missing}"

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted=None):
        token = self.peek()
        assert token and wanted in (None, token), f"{token}, not {wanted}"
        self.at += 1
        return token

    def accept(self, token):
        found = self.peek() == token
        self.at += found
        return found

    def type(self):
        choices = [self.type1()]
        while self.accept("/"):
            choices.append(self.type1())
        return lambda v: any(choice(v) for choice in choices)

    def type1(self):
        if self.accept("{"):
            self.last_map = self.group("}")
            return self.map_type(self.last_map)
        if self.accept("["):
            return self.array_type(self.group("]"))
        token = self.take()
        if re.fullmatch(r"-?\d+", token):
            low, high = int(token), int(self.take() if self.accept("..") else token)
            return lambda v: type(v) is int and low <= v <= high
        kind = PRELUDE.get(token, lambda v: self.rules[token](v))
        if self.accept(".size"):
            limit = 256 ** int(self.take())
            return lambda v: kind(v) and v < limit
        return kind

    def group(self, end):
        entries = []
        while not self.accept(end):
            low, high = (0, 1) if self.accept("?") else \
                (0, float("inf")) if self.accept("*") else (1, 1)
            if self.accept("("):
                entries.append((low, high, None, self.group(")")))
            else:
                first, key, kind = self.peek(), None, self.type()
                if self.accept(":"):
                    key, kind = int(first), self.type()
                elif self.accept("=>"):
                    key, kind = kind, self.type()
                entries.append((low, high, key, kind))
            assert self.accept(",") or self.peek() == end, f"no comma before {self.peek()}"
        return entries

    @staticmethod
    def map_type(entries):
        exact = {key: (low, kind) for low, _, key, kind in entries if type(key) is int}
        rest = [(key, kind) for _, _, key, kind in entries if type(key) is not int]

        def matches(value):
            return type(value) is dict and all(key in value for key, (low, _) in exact.items()
                                               if low) and \
                all(exact[key][1](v) if key in exact else
                    any(k(key) and kind(v) for k, kind in rest) for key, v in value.items())
        return matches

    @staticmethod
    def array_type(entries):
        def run(group, values):
            """All rests of `values` behind a match of the group."""
            rests = [values]
            for low, high, _, kind in group:
                found, front, count = list(rests) if low == 0 else [], rests, 0
                while front and count < high:
                    front = [r for v in front for r in (
                        run(kind, v) if isinstance(kind, list) else
                        [v[1:]] if v and kind(v[0]) else [])]
                    count += 1
                    found += front if count >= low else []
                rests = found
            return rests
        return lambda value: type(value) is list and [] in run(entries, value)


class Cddl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        def schema(form):
            return subprocess.run([PROGRAM, "schema", "--format", form], check=True,
                                  stdout=subprocess.PIPE, encoding="utf-8").stdout
        cls.text = schema("cddl")
        cls.json = json.loads(schema("json"))
        cls.grammar = Grammar(cls.text)
        cls.rows = cls.json["messages"] + cls.json["records"]

    def vectors(self, row):
        for line in (SOURCE / f"tests/contract/vectors/{row['name']}.hex").read_text().splitlines():
            yield msgpack.unpackb(bytes.fromhex(line.split()[1]), strict_map_key=False)

    def test_every_row_has_its_rule_and_its_fields(self):
        for row in self.rows:
            *fields, rest = self.grammar.maps[row["name"]]
            self.assertEqual(rest[:2], (0, float("inf")), row["name"])
            self.assertEqual([(key, low == 1) for low, _, key, _ in fields],
                             [(field["key"], field["required"]) for field in row["fields"]])
            for field in row["fields"]:
                kind = f"[* {field['record']}]" if field["type"] == "LIST" else field["type"]
                self.assertIn(f" {field['key']}: {kind}, ; {field['name']}: {field['meaning']}\n",
                              self.text)

    def test_the_first_rule_is_what_peers_send(self):
        self.assertEqual(next(iter(self.grammar.rules)), "peer-body")
        wanted = {row["name"] for row in self.json["messages"] if row["for_peers"]}
        listed = re.search(r"^peer-body =(.*?)\n\n", self.text, re.DOTALL | re.MULTILINE)
        self.assertEqual(set(re.findall(r"\w+", listed.group(1))), wanted)

    def test_golden_vectors_match_their_rules(self):
        for row in self.rows:
            for body in self.vectors(row):
                self.assertTrue(self.grammar.rules[row["name"]](body), f"{row['name']}: {body}")
                self.assertTrue(self.grammar.rules[row["name"]]({**body, 126: "unknown"}))

    def test_what_the_codec_refuses_does_not_match(self):
        refused = 0
        for row in self.rows:
            rule, (body, *_) = self.grammar.rules[row["name"]], self.vectors(row)
            self.assertFalse(rule({**body, 0: 1}) or rule({**body, 128: 1}), row["name"])
            for field in row["fields"]:
                self.assertFalse(rule({**body, field["key"]: 0.5}), field["name"])
                rest = {key: value for key, value in body.items() if key != field["key"]}
                self.assertEqual(rule(rest), not field["required"], field["name"])
                refused += 1
        self.assertGreater(refused, 100)
        ref = self.grammar.rules["REF"]
        self.assertTrue(ref([1, 2]) and ref([1, 2, 3, 4]))
        self.assertFalse(ref([1]) or ref([1, 2, 3]) or ref([1, 2, 3, 4, 5]) or ref([2**32, 1]))


if __name__ == "__main__":
    unittest.main()
