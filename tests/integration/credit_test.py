#!/usr/bin/python3
"""Credit from end to end: a disk that takes a thousand events a second holds up a producer on tcp
that offers ten thousand, and the node's memory stays where it is.

The disk is slow because the node is started with tests/kit/slow_disk. CAPSTAN_FULL lets it run for
three minutes with the usual settings; otherwise a smaller credit is reached within seconds."""
import os
import pathlib
import re
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import RealNode, slow_disk  # noqa: E402

FULL = "CAPSTAN_FULL" in os.environ
DISK_BYTES_PER_S = 420000
OFFERED_PER_S = 10000
EVENTS, LEVEL_AT = (180000, 60000) if FULL else (9000, 3000)
CREDIT = [] if FULL else ["gateway.credit_messages=1024"]
KEYS = 100
GROWTH_MAX_MIB = 32


def rows():
    payload = "x" * 64
    return "key,seq,payload\n" + "".join(
        f"k{n % KEYS},{n // KEYS + 1},{payload}\n" for n in range(EVENTS))


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) / 1024


class Watch(threading.Thread):
    """Reads the node's memory until it is told to end: its level once LEVEL_AT events are stored,
    and what it grew to from there."""

    def __init__(self, node):
        super().__init__()
        self.node, self.ended = node, threading.Event()
        self.level = self.peak = None

    def run(self):
        while not self.ended.wait(0.2):
            if self.level is None and self.stored() < LEVEL_AT:
                continue
            now = resident_mib(self.node.process.pid)
            self.level = self.level or now
            self.peak = max(self.peak or now, now)

    def stored(self):
        return sum(topic["accepted"] for topic in self.node.status()["topics"])


class Credit(unittest.TestCase):
    def test_a_slow_disk_holds_up_the_producer_and_fills_no_memory(self):
        with RealNode(*CREDIT, environment=slow_disk(DISK_BYTES_PER_S)) as node:
            watch = Watch(node)
            watch.start()
            begin = time.monotonic()
            try:
                done, summary = node.feed("--topic", "slow", "--key", "key", "--seq", "seq",
                                          "--rate", str(OFFERED_PER_S), "-",
                                          data=rows().encode())
            finally:
                watch.ended.set()
                watch.join()
            per_s = EVENTS / (time.monotonic() - begin)
            print(f"{per_s:.0f} events/s stored of {OFFERED_PER_S} offered; from {watch.level:.1f} "
                  f"to {watch.peak:.1f} MiB", file=sys.stderr)
            self.assertEqual((done.returncode, summary["acked"]), (0, EVENTS), done.stderr)
            self.assertEqual(node.topic("slow")["accepted"], EVENTS)
            self.assertLess(per_s, OFFERED_PER_S / 5, "the disk was not slow: it proves nothing")
            self.assertLessEqual(watch.peak - watch.level, GROWTH_MAX_MIB)


if __name__ == "__main__":
    unittest.main()
