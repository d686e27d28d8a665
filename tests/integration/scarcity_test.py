#!/usr/bin/python3
"""The program where descriptors run out: a node and a peer start, or say what there is none of; a
flood of connections takes the node's last ones, and it goes on and serves again."""
import json
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import ENVIRONMENT, PROGRAM, RealNode  # noqa: E402

LIMIT_FIRST = 5  # below it the program's libraries cannot be loaded
LIMIT_MAX = 100
WORKS_ENOUGH = 3
WAIT_S = 120
FLOOD = 300
LEFT = 20


def limited(limit, command):
    """Starts a command that has so many descriptors."""
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))


def descriptors(process):
    return len(list(pathlib.Path(f"/proc/{process.pid}/fd").iterdir()))


def connect(endpoint):
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    return socket.create_connection((host, int(port)))


class Scarcity(unittest.TestCase):
    def each_limit(self, attempt):
        """`attempt` returns whether it worked, for each limit until it has worked some times."""
        refused = worked = 0
        for limit in range(LIMIT_FIRST, LIMIT_MAX):
            if attempt(limit):
                worked += 1
            else:
                refused += 1
            if worked == WORKS_ENOUGH:
                break
        self.assertGreater(refused, 0)
        self.assertEqual(worked, WORKS_ENOUGH)

    def is_refused(self, process, stderr):
        """It ended by itself, and one line says what is lacking and what to do."""
        self.assertEqual(process.returncode, 1, stderr)
        said = [line for line in stderr.decode().splitlines() if line.startswith("capstan ")]
        self.assertEqual(len(said), 1, stderr)
        self.assertIn("ulimit -n", said[0])

    def test_a_node_starts_or_says_what_it_lacks(self):
        def attempt(limit):
            with tempfile.TemporaryDirectory(prefix="capstan-test-") as folder:
                node = limited(limit, [PROGRAM, "node",
                                       "--set", "gateway.endpoint=tcp://127.0.0.1:0",
                                       "--set", f"store.path={folder}/capstan.db"])
                ready = node.stdout.readline()
                if ready:
                    node.send_signal(signal.SIGTERM)
                _, stderr = node.communicate(timeout=WAIT_S)
                if ready:
                    self.assertEqual(node.returncode, 0, stderr)
                else:
                    self.is_refused(node, stderr)
                return bool(ready)

        self.each_limit(attempt)

    def test_a_peer_connects_or_says_what_it_lacks(self):
        with RealNode() as node:
            def attempt(limit):
                peer = limited(limit, node.command("status", "--json"))
                stdout, stderr = peer.communicate(timeout=WAIT_S)
                if peer.returncode == 0:
                    json.loads(stdout)
                else:
                    self.is_refused(peer, stderr)
                return peer.returncode == 0

            self.each_limit(attempt)

    def test_a_flood_of_connections_does_not_disturb_those_that_are_there(self):
        rows = [b"%d,1\n" % number for number in range(300)]
        with RealNode() as node:
            feed = subprocess.Popen(node.command("feed", "--topic", "t", "--key", "k", "--seq", "n",
                                                 "--producer", "p", "-"),
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, env=ENVIRONMENT)

            def send(part):
                feed.stdin.write(b"".join(part))
                feed.stdin.flush()

            send([b"k,n\n", *rows[:100]])
            while not any(topic["topic"] == "t" for topic in node.status()["topics"]):
                pass
            limit = descriptors(node.process) + LEFT
            resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
            flood = [connect(node.endpoint) for _ in range(FLOOD)]
            while descriptors(node.process) < limit:
                pass
            send(rows[100:200])
            for connection in flood:
                connection.close()
            send(rows[200:])
            stdout, stderr = feed.communicate(timeout=WAIT_S)
            self.assertEqual(feed.returncode, 0, stderr)
            self.assertEqual(json.loads(stdout.splitlines()[-1])["acked"], len(rows))
            self.assertEqual(len(node.tail("t", "--idle-ms", "300")), 1 + len(rows))


if __name__ == "__main__":
    unittest.main()
