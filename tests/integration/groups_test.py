#!/usr/bin/python3
"""Consumer groups over tcp: members that reject, members that die, what is parked and comes back,
and what a member says of events that are not its own."""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import PROGRAM, ROOT, RealNode  # noqa: E402

SOURCE = pathlib.Path(os.environ.get("CAPSTAN_SOURCE_DIR", ROOT))
SPEC = importlib.util.spec_from_file_location("peer", SOURCE / "examples/peer_python/peer.py")
PEER = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(PEER)
FENCED, NOT_HELD = 402, 416
SECONDS_MAX = 60


class Member:
    """`judge(event, attempts)` says what becomes of an event: None acknowledges it, False keeps it,
    a text rejects it for that reason."""

    def __init__(self, node, schema, name, judge, **limits):
        self.judge, self.limits = judge, limits
        self.subscription, self.stored, self.refused, self.seen = 0, 0, [], []
        self.failures = []
        self.peer = PEER.Peer(schema, node.endpoint, name, {
            "welcome": self.subscribe, "deliver": self.deliver,
            "failure": lambda body, _: self.failures.append(body["text"]),
            "acknowledged": lambda body, _: setattr(self, "stored", body["events"]),
            "acknowledge_refused": lambda body, _: self.refused.append(body["error"])})

    def subscribe(self, *_):
        self.peer.post("subscribe", lambda body: setattr(self, "subscription",
                                                         body["subscription"]),
                       topic="t", group="g", **self.limits)

    def acknowledge(self, subscription, partition, offset):
        self.peer.post("acknowledge", subscription=subscription, through=[
            {"partition": partition, "first": offset, "offset": offset}])

    def deliver(self, body, _):
        for event in body["events"]:
            self.seen.append((event["key"], event["sequence"]))
            verdict = self.judge(event, body["attempts"])
            if verdict is None:
                self.acknowledge(body["subscription"], body["partition"], event["offset"])
            elif verdict is not False:
                self.peer.post("reject", subscription=body["subscription"],
                               partition=body["partition"], offset=event["offset"],
                               reason=verdict)

    def close(self):
        self.peer.post("goodbye")
        self.peer.flush()
        self.peer.socket.close()


class Groups(unittest.TestCase):
    def setUp(self):
        self.node = self.enterContext(RealNode("ordering.group_attempts_max=2",
                                               "ordering.group_retry_ms_min=10"))
        self.schema = json.loads(subprocess.run([PROGRAM, "schema", "--format", "json"],
                                                stdout=subprocess.PIPE, check=True).stdout)
        self.members = []

    def tearDown(self):
        for member in self.members:
            member.close()

    def feed(self, keys, sequences):
        rows = [f"{key},{sequence}" for sequence in sequences for key in keys]
        done, _ = self.node.feed("--topic", "t", "--key", "key", "--seq", "seq", "-",
                                 data="\n".join(["key,seq", *rows, ""]).encode())
        self.assertEqual(done.returncode, 0, done.stderr)

    def join(self, name, judge, **limits):
        member = Member(self.node, self.schema, name, judge, **limits)
        self.members.append(member)
        return member

    def until(self, condition, why):
        late = time.monotonic() + SECONDS_MAX
        while not condition():
            self.assertLess(time.monotonic(), late, why)
            for member in self.members:
                member.peer.poll()

    def leave(self, member):
        member.close()
        self.members.remove(member)

    def topic(self, *arguments):
        return self.node.run("topic", *arguments)

    def parked(self):
        done = self.topic("parked", "t", "--group", "g", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_a_poisoned_key_is_parked_and_the_others_go_on(self):
        self.feed(["bad", "good", "fine"], range(1, 4))
        member = self.join("m", lambda event, _: "no stock" if event["key"] == b"bad" else None)
        self.until(lambda: member.stored == 6 and len(self.parked()) == 3, "they go on")
        self.assertEqual([s for k, s in member.seen if k == b"bad"], [1, 1], "none overtook it")
        first, *behind = self.parked()
        self.assertEqual((first["key"], first["attempts"], first["reason"], first["behind"]),
                         ("bad", 2, "no stock", False))
        self.assertEqual(first["payload"], {"key": "bad", "seq": "1"})
        self.assertEqual([one["behind"] for one in behind], [True, True])

        self.node.kill()  # what is parked is on record
        self.node.start()
        self.assertEqual(len(self.parked()), 3)
        self.leave(member)
        self.feed(["bad"], [4])
        member = self.join("m2", lambda *_: None)
        self.until(lambda: len(self.parked()) == 4, "what follows is parked behind it")
        self.assertEqual(member.seen, [])
        done = self.topic("replay", "t", "--group", "g", "--key", "bad", "--json")
        self.assertEqual(json.loads(done.stdout), {"replayed": 4, "discarded": 0})
        self.until(lambda: len(member.seen) == 4 and not self.parked(), "it comes back")
        self.assertEqual(member.seen, [(b"bad", n) for n in range(1, 5)])
        done = self.topic("replay", "t", "--group", "g", "--all")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"has parked no such event", done.stderr)

    def test_what_is_discarded_lets_its_successors_go_on(self):
        self.feed(["bad"], range(1, 4))
        member = self.join("m", lambda event, _: "" if event["sequence"] == 1 else None)
        self.until(lambda: len(self.parked()) == 3, "it is parked")
        done = self.topic("discard", "t", "--group", "g", "--all", "--json")
        self.assertEqual(json.loads(done.stdout), {"replayed": 2, "discarded": 1})
        self.until(lambda: not self.parked(), "the rest goes on")
        self.assertEqual(member.seen[-2:], [(b"bad", 2), (b"bad", 3)])

    def test_keys_move_from_a_member_that_died_and_its_voice_does_not_count(self):
        self.feed([f"k{n}" for n in range(20)], range(1, 6))
        first = self.join("first", lambda *_: False, events_max=100, key_events_max=100)
        self.until(lambda: len(first.seen) == 100, "it holds all")
        second = self.join("second", lambda *_: None)
        self.until(lambda: second.subscription > 0, "it joins")
        self.assertEqual(second.seen, [], "every key is the first one's")
        old = first.subscription
        self.leave(first)
        self.until(lambda: second.stored == 100, "it gets them")
        for key in range(20):
            self.assertEqual([s for k, s in second.seen if k == b"k%d" % key], list(range(1, 6)))
        second.acknowledge(old, 0, 1)
        second.acknowledge(second.subscription, 0, 1)
        second.acknowledge(second.subscription, 99, 1)
        second.peer.post("reject", subscription=second.subscription, partition=0, offset=7)
        self.until(lambda: len(second.refused) == 4, "each is refused")
        self.assertEqual(second.refused, [FENCED, NOT_HELD, NOT_HELD, NOT_HELD])

    def test_a_member_leaves_in_order(self):
        self.feed(["a", "b"], range(1, 4))
        first = self.join("first", lambda *_: False)
        self.until(lambda: len(first.seen) == 2, "one event of each key")
        gone = []
        first.peer.post("unsubscribe", gone.append, subscription=first.subscription)
        self.until(lambda: gone, "it is told")
        second = self.join("second", lambda *_: None)
        self.until(lambda: second.stored == 6, "the other gets all")
        first.acknowledge(first.subscription, 0, 1)
        self.until(lambda: first.refused, "it is a member no more")
        self.assertEqual(first.refused, [FENCED])

    def test_nothing_that_was_stored_as_completed_comes_again_after_a_kill(self):
        self.feed([f"k{n}" for n in range(10)], range(1, 11))
        member = self.join("m", lambda event, _: False if event["key"] == b"k3" else None)
        self.until(lambda: member.stored == 90, "all but one key")
        self.node.kill()
        self.node.start()
        self.leave(member)
        member = self.join("m2", lambda *_: None)
        self.until(lambda: member.stored == 10, "the rest comes")
        self.assertEqual(member.seen, [(b"k3", n) for n in range(1, 11)])

    def test_status_shows_how_each_group_is(self):
        self.feed(["bad", "good", "slow"], range(1, 6))
        self.join("m", lambda event, _: {b"bad": "no", b"slow": False}.get(event["key"]))
        self.until(lambda: len(self.parked()) == 5, "the bad ones are parked")
        wanted = {"group": "g", "members": 1, "held": 1, "lag": 5, "retrying": 0, "parked": 5,
                  "acknowledged": 5}
        # A mark is on its way to the partition for a moment.
        self.until(lambda: self.node.topic("t")["groups"] == [wanted], wanted)
        self.assertIn(b"topics t, groups", self.node.run("status").stdout)
        self.leave(self.members[0])
        wanted |= {"members": 0, "held": 0}
        self.until(lambda: self.node.topic("t")["groups"] == [wanted], wanted)
        self.node.kill()
        self.node.start()
        self.assertEqual(self.node.topic("t")["groups"], [wanted | {"acknowledged": 0}])
        self.feed(["good"], range(6, 10))
        self.assertEqual(self.node.topic("t")["groups"][0]["lag"], 9)

    def test_limits_that_cannot_be_are_refused(self):
        self.feed(["k1"], [1])
        for limit in ("events_max", "key_events_max", "concurrency"):
            member = self.join(limit, lambda *_: None, **{limit: 65537})
            self.until(lambda member=member: member.failures, limit)
            self.assertIn(f"{limit}: 1 to 65536", member.failures[0])

    def test_a_group_is_defined_while_it_has_no_members(self):
        self.feed(["a", "b"], range(1, 4))
        define = ["group", "t", "--group", "g", "--json"]
        at_first = {"mode": "key", "while_retried": "wait", "when_exhausted": "wait",
                    "attempts_max": 2, "retry_ms_min": 10, "retry_ms_max": 60000,
                    "events": "in-order"}
        self.assertEqual(json.loads(self.topic(*define).stdout), at_first)
        changed = at_first | {"when_exhausted": "go-on", "attempts_max": 1}
        done = self.topic(*define, "--when-exhausted", "go-on", "--attempts", "1")
        self.assertEqual(json.loads(done.stdout), changed)
        self.node.kill()
        self.node.start()
        self.assertEqual(json.loads(self.topic(*define).stdout), changed)
        member = self.join("m", lambda event, _: "no" if event["sequence"] == 2 else None)
        self.until(lambda: member.stored == 4 and len(self.parked()) == 2, "others go on")
        done = self.topic(*define, "--attempts", "5")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"has members", done.stderr)
        self.leave(member)
        while (done := self.topic(*define, "--mode", "none")).returncode != 0:
            self.assertIn(b"has members", done.stderr)
        self.feed(["a"], range(4, 8))
        member = self.join("m2", lambda *_: False)
        self.until(lambda: len(member.seen) == 4, "no key is alone in a member's hands")

    def test_wrong_usage_says_what_to_do(self):
        self.feed(["a"], [1])
        for arguments, status, wanted in [
                (["nothing"], 2, b"there is no action 'nothing'"),
                (["parked", "t"], 2, b"parked needs --group"),
                (["replay", "t", "--group", "g"], 2, b"either --key or --all"),
                (["create"], 2, b"create needs the name of a topic"),
                (["list", "t"], 2, b"list takes no name"),
                (["parked", "nowhere", "--group", "g"], 1, b"no such topic"),
                (["create", "no/slash"], 1, b"topic: 1 to 128 letters"),
                (["create", "t", "--partitions", "3"], 1, b"exists with another definition")]:
            done = self.topic(*arguments)
            self.assertEqual((done.returncode, done.stdout), (status, b""), arguments)
            self.assertIn(wanted, done.stderr)

    def test_topics_are_made_and_listed(self):
        done = self.topic("create", "orders", "--partitions", "3", "--sequence", "producer",
                          "--json")
        made = json.loads(done.stdout)
        self.assertEqual(made.pop("settings")["partitions"], "3")
        self.assertEqual(made, {"topic": "orders", "partitions": 3, "sequence": "producer",
                                "created": True})
        self.assertIn(b"(it existed)", self.topic("create", "orders").stdout)
        listed = json.loads(self.topic("list", "--json").stdout)
        self.assertEqual([(one["topic"], one["partitions"]) for one in listed], [("orders", 3)])
        self.assertIn(b"orders", self.topic("list").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
