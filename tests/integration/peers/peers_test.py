#!/usr/bin/env python3
"""The peers in other languages against a real node: each publishes, consumes, and survives kill -9
of the node; and the node describes itself as the program prints its schema."""
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "kit"))
from real_node import slow_disk  # noqa: E402

SOURCE = pathlib.Path(os.environ.get("CAPSTAN_SOURCE_DIR", pathlib.Path(__file__).parents[3]))
PROGRAM = os.environ.get("CAPSTAN_PROGRAM", str(SOURCE / "build" / "capstan"))
PYTHON_PEER = SOURCE / "examples" / "peer_python" / "peer.py"
NODE_PEER = SOURCE / "examples" / "peer_node" / "peer.js"
OVER_TCP = pathlib.Path(os.environ.get("CAPSTAN_BUILD_DIR", SOURCE / "build" / "dev")) / \
    "examples" / "over_tcp"
PEER_LINES_MAX = 170


class Peer:
    """What every peer must do; `command` is how it is started."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="capstan-peers-")
        self.schema = os.path.join(self.folder, "schema.json")
        with open(self.schema, "wb") as file:
            subprocess.run([PROGRAM, "schema", "--format", "json"], stdout=file, check=True)
        self.node, self.endpoint = None, "tcp://127.0.0.1:0"
        self.start_node()

    def tearDown(self):
        self.node.send_signal(signal.SIGTERM)
        self.node.communicate(timeout=30)
        shutil.rmtree(self.folder)

    def kill_node(self):
        self.node.kill()
        self.node.communicate()

    def start_node(self, *settings, environment=None):
        self.log = open(os.path.join(self.folder, "node.log"), "ab")
        self.node = subprocess.Popen(
            [PROGRAM, "node", "--set", f"gateway.endpoint={self.endpoint}", "--set",
             f"store.path={self.folder}/capstan.db", *settings],
            stdout=subprocess.PIPE, stderr=self.log, env=os.environ | (environment or {}))
        self.log.close()
        self.endpoint = json.loads(self.node.stdout.readline())["gateway"]

    def start_peer(self, *arguments):
        return subprocess.Popen(
            [*self.command, "--schema", self.schema, "--endpoint", self.endpoint, "--timeout", "60",
             *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self, peer):
        out, err = peer.communicate(timeout=90)
        self.assertEqual(peer.returncode, 0, err.decode() + out.decode())
        return json.loads(out)

    def wait_until_written(self, wanted):
        """Waits until the node has written so many bytes, to its store as good as all of them: the
        peer is in the middle of its work."""
        def written():
            io = pathlib.Path(f"/proc/{self.node.pid}/io").read_text(encoding="ascii")
            return int(re.search(r"wchar: (\d+)", io).group(1))
        deadline = time.monotonic() + 30
        while written() < wanted and time.monotonic() < deadline:
            time.sleep(0.005)

    def test_publishes_and_consumes(self):
        first = self.finish(self.start_peer("--count", "3000"))
        self.assertEqual((first["answered"], first["duplicates"], first["delivered"]),
                         (3000, 0, 3000))
        again = self.finish(self.start_peer("--count", "3000"))
        self.assertEqual((again["answered"], again["duplicates"], again["delivered"]),
                         (3000, 3000, 3000))

    def test_greets_and_sends_again_after_the_node_was_killed(self):
        # A disk and a credit with which it takes many commits.
        slow = {"environment": slow_disk(4_000_000)}
        settings = ("--set", "gateway.credit_messages=256")
        self.kill_node()
        self.start_node(*settings, **slow)
        peer = self.start_peer("--count", "10000", "--topic", "killed")
        for _ in range(2):
            self.wait_until_written(300_000)
            self.assertIsNone(peer.poll(), "the node was not killed in the middle")
            self.kill_node()
            self.start_node(*settings, **slow)
        result = self.finish(peer)
        self.assertEqual((result["answered"], result["delivered"], result["in_order"]),
                         (10000, 10000, True))

    def test_consumes_as_a_group_what_others_published(self):
        self.finish(self.start_peer("--count", "500"))
        member = self.finish(self.start_peer("--count", "500", "--group", "readers"))
        self.assertEqual((member["duplicates"], member["delivered"]), (500, 500))

    def start_order(self, endpoint, schema, *arguments):
        path = pathlib.Path(self.command[-1])
        return subprocess.Popen(
            [*self.command[:-1], str(path.with_name("order" + path.suffix)), "--schema", schema,
             "--endpoint", endpoint, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_orders_at_an_actor_and_at_another_peer(self):
        shop = subprocess.Popen([OVER_TCP, "tcp://127.0.0.1:0"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
        endpoint = shop.stdout.readline().decode().strip()
        schema = os.path.join(self.folder, "shop.json")
        with open(schema, "wb") as file:
            subprocess.run([PROGRAM, "schema", "--to", endpoint, "--format", "json"], stdout=file,
                           check=True)
        receipt = {"number": 1, "pieces": 300}
        self.assertEqual(self.finish(self.start_order(endpoint, schema)), receipt)
        till = self.start_order(endpoint, schema, "--name", "till")
        self.assertEqual(till.stdout.readline(), b"open\n")
        self.assertEqual(self.finish(self.start_order(endpoint, schema, "--at", "peer/till")),
                         receipt)
        self.assertEqual(self.finish(till), receipt)
        shop.communicate(timeout=30)
        self.assertEqual(shop.returncode, 0)

    def test_is_short_enough_to_be_read(self):
        lines = pathlib.Path(self.command[-1]).read_text(encoding="utf-8").splitlines()
        self.assertLessEqual(len(lines), PEER_LINES_MAX)


class PeerInPython(Peer, unittest.TestCase):
    command = (sys.executable, str(PYTHON_PEER))

    def test_describe_is_the_printed_schema(self):
        spec = importlib.util.spec_from_file_location("peer", PYTHON_PEER)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with open(self.schema, encoding="utf-8") as file:
            text = file.read()
        answers = []
        peer = module.Peer(json.loads(text), self.endpoint, "describer", {
            "welcome": lambda *_: peer.post("describe", answers.append)})
        deadline = time.monotonic() + 20
        while not answers and time.monotonic() < deadline:
            peer.poll()
        peer.socket.close()
        self.assertTrue(answers, "no description came")
        self.assertEqual(answers[0]["text"], text)


class PeerInNode(Peer, unittest.TestCase):
    command = ("node", str(NODE_PEER))

    def test_its_lock_names_no_registry(self):
        lock = (NODE_PEER.parent / "package-lock.json").read_text(encoding="utf-8")
        self.assertNotIn("://", lock)
        self.assertIn('"integrity"', lock)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
