#!/usr/bin/python3
"""A topic with a payload schema: what is not as it says is refused and leaves nothing behind, JSON
and MessagePack alike, also after the node was killed; and it is shown, altered and taken away."""
import json
import pathlib
import subprocess
import sys
import time
import unittest

import msgpack

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples/peer_python"))
from real_node import PROGRAM, RealNode  # noqa: E402

import peer as peers  # noqa: E402

SECONDS_MAX = 60
STORED, HELD, REJECTED = 1, 3, 4
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "An order",
    "type": "object",
    "required": ["id", "amount"],
    "properties": {"id": {"type": "string", "minLength": 1},
                   "amount": {"type": "number", "minimum": 0},
                   "state": {"enum": ["open", "paid"]}},
    "additionalProperties": False,
}
GOOD = {"id": "o1", "amount": 12.5, "state": "paid"}
JSON, MSGPACK = "application/json", "application/msgpack"


class Schema(unittest.TestCase):
    def setUp(self):
        self.node = self.enterContext(RealNode())
        self.protocol = json.loads(subprocess.run([PROGRAM, "schema", "--format", "json"],
                                                  stdout=subprocess.PIPE, check=True).stdout)

    def topic(self, *arguments, code=0):
        done = self.node.run("topic", *arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        return (done.stdout if code == 0 else done.stderr).decode()

    def file(self, schema):
        path = pathlib.Path(self.node.folder) / "schema.json"
        path.write_text(schema if isinstance(schema, str) else json.dumps(schema, indent=2))
        return f"payload_schema=@{path}"

    def publish(self, *events, topic="t"):
        """(result, error) of events, each (content type, payload bytes, further fields)."""
        outcomes = []
        peer = peers.Peer(self.protocol, self.node.endpoint, "p", {
            "welcome": lambda *_: [peer.post(
                "publish", lambda outcome: outcomes.append((outcome["result"], outcome["error"])),
                topic=topic, key=b"k", content_type=kind, payload=payload, **fields)
                for kind, payload, fields in events]})
        late = time.monotonic() + SECONDS_MAX
        while len(outcomes) < len(events):
            self.assertLess(time.monotonic(), late)
            peer.poll()
        peer.post("goodbye")
        peer.flush()
        peer.socket.close()
        return outcomes

    def try_payloads(self, values, topic="t"):
        """Whether each was taken, as JSON and as MessagePack, which have to agree."""
        both = [self.publish(*[(kind, pack(value), {}) for value in values], topic=topic)
                for kind, pack in ((JSON, lambda v: json.dumps(v).encode()),
                                   (MSGPACK, msgpack.packb))]
        self.assertEqual(both[0], both[1])
        self.assertLessEqual(set(both[0]), {(STORED, 0), (REJECTED, 420)})
        return [result == STORED for result, _ in both[0]]

    def test_what_is_not_as_it_says_is_refused_also_after_a_kill(self):
        self.topic("create", "t", "--partitions", "1", "--set", self.file(SCHEMA))
        values = [GOOD, {**GOOD, "amount": -1}, {"id": "o2"}, {**GOOD, "more": 1},
                  {**GOOD, "state": "lost"}, [GOOD], {"id": "o3", "amount": 0}]
        taken = [True, False, False, False, False, False, True]
        self.assertEqual(self.try_payloads(values), taken)
        self.assertEqual(self.publish(("text/plain", b"x", {}), ("", b"x", {}),
                                      (JSON, b"{", {}), (JSON, b"", {}), (MSGPACK, b"\xc1", {})),
                         [(REJECTED, 420)] * 5)
        self.assertEqual(self.node.topic("t")["events"], 4)
        metrics = self.node.status()["metrics"]
        self.assertEqual(metrics["ordering.events_payload_invalid"], 15)
        self.assertIn("/amount", self.node.log())
        self.assertIn("below its minimum", self.node.log())
        self.node.kill()
        self.node.start()
        self.assertEqual(self.try_payloads(values), taken)
        self.assertEqual(self.node.topic("t")["events"], 8)

    def test_the_number_of_a_refused_event_is_free(self):
        self.topic("create", "t", "--partitions", "1", "--sequence", "producer", "--set",
                   self.file({"type": "integer"}))
        self.assertEqual(self.publish(*[(JSON, payload, {"producer": "p", "sequence": number})
                                        for number, payload in enumerate((b"1", b"{}", b"3"), 1)]),
                         [(STORED, 0), (REJECTED, 420), (HELD, 0)])
        self.assertEqual(self.publish((JSON, b"2", {"producer": "p", "sequence": 2})),
                         [(STORED, 0)])
        self.assertEqual(self.node.topic("t")["events"], 3)

    def test_it_is_shown_altered_and_taken_away(self):
        self.topic("create", "t", "--partitions", "2", "--set", self.file(SCHEMA))
        described = json.loads(self.topic("describe", "t", "--json"))
        self.assertEqual(json.loads(described["settings"]["payload_schema"]), SCHEMA)
        self.assertIn(json.dumps(SCHEMA["required"], separators=(",", ":")),
                      self.topic("describe", "t"))
        self.assertEqual(self.try_payloads([GOOD, 7]), [True, False])
        self.topic("alter", "t", "--set", 'payload_schema={"type": "integer"}')
        self.assertEqual(self.try_payloads([GOOD, 7]), [False, True])
        self.topic("alter", "t", "--set", "payload_schema=")
        self.assertEqual(self.try_payloads([GOOD, 7]), [True, True])
        self.assertEqual(self.publish(("text/plain", b"x", {})), [(STORED, 0)])

    def test_a_schema_that_is_none_is_refused_and_changes_nothing(self):
        self.topic("create", "t", "--set", self.file(SCHEMA))
        for schema, said in (('{\n"type": }', "line 2"), ({"pattern": "a"}, "at /pattern"),
                             ({"properties": {"a": {"$ref": "#"}}}, "at /properties/a/$ref"),
                             ("[" * 60000, "32 deep"), (" " * 65537, "65537 bytes")):
            for action in ("create", "alter"):
                text = self.topic(action, "t" if action == "alter" else "u", "--set",
                                  self.file(schema), code=1)
                self.assertIn("payload_schema", text)
                self.assertIn(said, text)
        self.assertIn("No such file", self.topic("alter", "t", "--set",
                                                 "payload_schema=@/none", code=1))
        self.assertEqual(self.try_payloads([GOOD, 7]), [True, False])
        self.assertIn("payload_schema differs",
                      self.topic("create", "t", "--set", "payload_schema={}", code=1))

    def test_feed_fits_or_is_told(self):
        rows = pathlib.Path(self.node.folder) / "rows.csv"
        rows.write_text("key,amount\na,1\nb,2\n")
        self.topic("create", "t", "--set", self.file({"required": ["amount"]}))
        self.assertEqual(self.node.run("feed", "--topic", "t", "--key", "key",
                                       str(rows)).returncode, 0)
        self.topic("alter", "t", "--set", self.file({"required": ["price"]}))
        done = self.node.run("feed", "--topic", "t", "--key", "key", str(rows))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"payload", done.stderr + done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
