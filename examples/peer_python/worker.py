#!/usr/bin/env python3
"""A member of a consumer group, that acknowledges what it has processed and rejects what it cannot:

  capstan schema --format json > s.json
  worker.py --schema s.json --topic demo --group billing      start as many as you like
  worker.py --schema s.json --topic demo --group billing --cannot key-3

The members share the group's keys; the events of one key come one after the other. It ends when
nothing has come for a while, and prints what it did as one JSON line."""
import argparse, json, os, sys, time
from peer import Peer

class Worker:
    """`work(event)` processes an event, or fails by an exception."""

    def __init__(self, schema, endpoint, name, topic, group, work):
        self.work, self.topic, self.group = work, topic, group
        self.done, self.rejected, self.refused, self.error = 0, 0, 0, None
        self.stored = {}  # per subscription, since each session has one of its own
        self.busy_at = time.monotonic()
        self.peer = Peer(schema, endpoint, name, {
            "welcome": self.subscribe, "deliver": self.deliver, "acknowledged": self.acknowledged,
            "acknowledge_refused": self.acknowledge_refused,
            "subscription_ended": self.subscribe})

    def subscribe(self, *_):
        # One event of a key at a time: nothing is at this member behind one that it rejects.
        self.peer.post("subscribe", self.subscribed, topic=self.topic, group=self.group,
                       events_max=64, concurrency=1)

    def subscribed(self, answer):
        self.busy_at = time.monotonic()

    def deliver(self, body, _envelope):
        self.busy_at = time.monotonic()
        for event in body["events"]:
            place = {"partition": body["partition"], "offset": event["offset"]}
            try:
                self.work(event)
            except Exception as failure:  # it is tried again later, by whoever has room
                self.rejected += 1
                self.peer.post("reject", subscription=body["subscription"], **place,
                               reason=str(failure)[:200])
            else:
                self.done += 1
                self.peer.post("acknowledge", subscription=body["subscription"],
                               through=[{**place, "first": event["offset"]}])

    def acknowledged(self, body, _envelope):
        self.stored[body["subscription"]] = body["events"]  # on disk: these never come again

    def acknowledge_refused(self, body, _envelope):
        self.refused += 1  # somebody else has the event by now, for instance after a lost session

    def run(self, idle_s):
        while time.monotonic() < self.busy_at + idle_s:
            self.peer.poll()
        self.peer.post("goodbye")
        self.peer.flush()
        self.peer.socket.close()

def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"schema": "s.json", "endpoint": "tcp://127.0.0.1:7700", "topic": "demo",
                          "group": "workers", "cannot": "", "idle": 3.0}.items():
        parser.add_argument("--" + name, default=default, type=type(default), help=repr(default))
    options = parser.parse_args()

    def work(event):
        if event["key"].decode() == options.cannot:
            raise ValueError(f"nobody here knows {options.cannot}")
        print(event["key"].decode(), event["sequence"], file=sys.stderr, flush=True)

    worker = Worker(json.load(open(options.schema)), options.endpoint,
                    f"worker.py-{os.getpid()}-{time.time_ns()}", options.topic, options.group, work)
    worker.run(options.idle)
    print(json.dumps({"done": worker.done, "stored": sum(worker.stored.values()),
                      "rejected": worker.rejected, "refused": worker.refused}))

if __name__ == "__main__":
    main()
