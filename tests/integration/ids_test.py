#!/usr/bin/python3
"""A topic that is numbered by arrival: what a peer sends keeps its order; with an id, what it sends
again within the window is taken once, also after the node was killed; and what it may not."""
import base64
import json
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples/peer_python"))
from real_node import PROGRAM, RealNode  # noqa: E402

import peer as peers  # noqa: E402

SECONDS_MAX = 60
STORED, DUPLICATE, REJECTED = 1, 2, 4


class Ids(unittest.TestCase):
    def setUp(self):
        self.node = self.enterContext(RealNode("ordering.ids_max=16",
                                                "ordering.retry_horizon_ms=1000"))
        self.schema = json.loads(subprocess.run([PROGRAM, "schema", "--format", "json"],
                                                stdout=subprocess.PIPE, check=True).stdout)

    def make(self, *settings):
        options = [option for setting in settings for option in ("--set", setting)]
        done = self.node.run("topic", "create", "t", "--partitions", "1", *options)
        self.assertEqual(done.returncode, 0, done.stderr)

    def publish(self, *events, payload=lambda number: b"x"):
        """The results of events, each a (producer, number)."""
        results = []
        peer = peers.Peer(self.schema, self.node.endpoint, "asker", {
            "welcome": lambda *_: [peer.post(
                "publish", lambda outcome: results.append(outcome["result"]), topic="t", key=b"k",
                producer=producer, sequence=number, payload=payload(number))
                for producer, number in events]})
        late = time.monotonic() + SECONDS_MAX
        while len(results) < len(events):
            self.assertLess(time.monotonic(), late)
            peer.poll()
        peer.post("goodbye")
        peer.flush()
        peer.socket.close()
        return results

    def test_what_a_peer_sends_keeps_its_order(self):
        """More than a batch from session to partition holds, with neighbours in one message."""
        self.make()
        sent = [("p", number) for number in range(1, 1001)]
        self.assertEqual(self.publish(*sent, payload=lambda number: b"%d" % number),
                         [STORED] * len(sent))
        tail = self.node.run("tail", "--topic", "t", "--format", "json", "--idle-ms", "500")
        events = [json.loads(line) for line in tail.stdout.splitlines()]
        self.assertEqual([int(base64.b64decode(event["payload"])) for event in events],
                         list(range(1, 1001)))

    def test_an_id_is_taken_once_also_after_a_kill(self):
        self.make("id_window_ms=3600000")
        self.assertEqual(self.publish(("p", 1), ("p", 1), ("q", 1), ("p", 2)),
                         [STORED, DUPLICATE, STORED, STORED])
        self.node.kill()
        self.node.start()
        self.assertEqual(self.publish(("p", 2), ("p", 3), ("q", 1)),
                         [DUPLICATE, STORED, DUPLICATE])
        self.assertEqual(self.node.topic("t")["events"], 4)

    def test_a_full_table_refuses_and_a_window_that_ends_makes_room(self):
        self.make("id_window_ms=3600000")
        numbers = [("p", number) for number in range(1, 18)]
        self.assertEqual(self.publish(*numbers), [STORED] * 16 + [REJECTED])
        done = self.node.run("topic", "alter", "t", "--set", "id_window_ms=1000")
        self.assertEqual(done.returncode, 0, done.stderr)
        time.sleep(1.01)
        self.assertEqual(self.publish(("p", 17), ("p", 1)), [STORED, STORED])

    def test_without_a_window_nothing_is_remembered(self):
        self.make()
        self.assertEqual(self.publish(("p", 1), ("p", 1)), [STORED, STORED])
        done = self.node.run("topic", "create", "u", "--sequence", "producer", "--set",
                             "id_window_ms=1000")
        self.assertIn(b"id_window_ms", done.stderr)

    def test_a_window_shorter_than_senders_try_is_refused(self):
        for request in ("create", "alter"):
            done = self.node.run("topic", request, "t", "--set", "id_window_ms=999")
            self.assertNotEqual(done.returncode, 0)
            for part in (b"999 ms", b"1000 ms", b"ordering.retry_horizon_ms", b"at least 1000"):
                self.assertIn(part, done.stderr)
            self.make("id_window_ms=1000")
        self.node.kill()
        self.node.settings = ("ordering.retry_horizon_ms=5000",)
        self.node.start()
        # It goes on as it is, with a warning, and its other settings can be changed.
        for setting, accepted in (("idle_ms=70000", True), ("id_window_ms=4999", False),
                                  ("id_window_ms=5000", True)):
            done = self.node.run("topic", "alter", "t", "--set", setting)
            self.assertEqual(done.returncode == 0, accepted, done.stderr)
        self.assertIn("id_window_short", self.node.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
