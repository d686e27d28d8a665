#!/usr/bin/env python3
"""A Capstan peer that learns the protocol from the JSON schema alone. It publishes events to a
topic and consumes them again: capstan schema --format json > s.json; peer.py --schema s.json"""
import argparse, json, sys, time, msgpack, zmq

ZERO = {"UINT": 0, "INT": 0, "BOOL": False, "STR": "", "BIN": b"", "REF": None, "LIST": []}
WINDOW_MESSAGES, WINDOW_BYTES, BATCH = 64, 8 << 20, 64

class Peer:
    """One session after the other. Credited messages stay in `unanswered` until their outcome or
    reply comes; a new session counts from 1 and sends them again, but for the requests."""

    def __init__(self, schema, endpoint, name, on):
        self.version, self.kinds = schema["version"], schema["kinds"]
        self.rows = {row["name"]: row for row in schema["messages"] + schema["records"]}
        self.names = {row["id"]: row["name"] for row in schema["messages"]}
        self.socket, self.name, self.on = zmq.Context.instance().socket(zmq.DEALER), name, on
        self.socket.linger = 1000  # milliseconds
        self.socket.connect(endpoint)
        self.session, self.heartbeat_s = time.time_ns() // 1000, 1.0
        self.correlation, self.unanswered = 0, []
        self.greet()

    def to_map(self, name, values):
        fields = {field["name"]: field for field in self.rows[name]["fields"]}
        return {fields[k]["key"]: [self.to_map(fields[k]["record"], e) for e in v]
                if fields[k]["type"] == "LIST" else v for k, v in values.items()}

    def from_map(self, name, body):
        return {f["name"]: [self.from_map(f["record"], e) for e in body.get(f["key"], [])]
                if f["type"] == "LIST" else body.get(f["key"], ZERO[f["type"]])
                for f in self.rows[name]["fields"]}

    def pack(self, name, /, **values):
        return msgpack.packb(self.to_map(name, values))

    def greet(self):
        self.session, self.sent_at = self.session + 1, time.monotonic()
        self.greeted, self.grant, self.control = False, (0, 0), []
        self.sequence = self.sent_bytes = self.delivered = self.received = self.window = 0
        self.unanswered = [dict(i, sequence=0) for i in self.unanswered
                           if not i["request"] and not (i["tell"] and i["sequence"])]
        self.hello = self.post("hello", version_min=self.version, version_max=self.version,
                               name=self.name, session=self.session)

    def post(self, name, answered=lambda answer: None, /, to=None, answers=None, **values):
        """Queues a message; `answered` is called once, with its outcome or its reply (a user's
        event that was passed on: None). A user's message goes `to` a reference, or `answers` the
        request of that correlation."""
        row, self.correlation = self.rows[name], self.correlation + 1
        body, kind = self.pack(name, **values), self.kinds[row["kind"]]
        head = self.pack("envelope", message=row["id"], kind=kind,
                         correlation=answers or self.correlation, **({"target": to} if to else {}))
        item = {"bytes": head + msgpack.packb(body), "size": len(body), "sequence": 0,
                "correlation": self.correlation, "request": row["kind"] == "request",
                "tell": (row["kind"], row["credited_by"]) == ("event", "receiver"),
                "answered": answered}
        credited = row["credited_by"] in ("node", "receiver")
        (self.unanswered if credited else self.control).append(item)
        return self.correlation

    def flush(self, credit=False):
        if time.monotonic() - self.sent_at > self.heartbeat_s:  # idle, or hello was lost
            self.post("ping") if self.greeted else self.greet()
        batch, self.control, first = self.control, [], 0
        for item in [i for i in self.unanswered if self.greeted and not i["sequence"]][:BATCH]:
            if self.sequence >= self.grant[0] or self.sent_bytes + item["size"] > self.grant[1]:
                break
            self.sequence, self.sent_bytes = self.sequence + 1, self.sent_bytes + item["size"]
            item["sequence"], first = self.sequence, first or self.sequence
            batch.append(item)
        if batch or credit:
            header = self.pack("link_header", version=self.version, count=len(batch),
                               sequence=first, credit_messages=self.delivered + WINDOW_MESSAGES,
                               credit_bytes=self.received + WINDOW_BYTES)
            self.socket.send(header + b"".join(item["bytes"] for item in batch))
            self.sent_at = time.monotonic()
        if len(batch) >= BATCH:
            self.flush()

    def poll(self):
        self.flush()
        if self.socket.poll(100):
            unpacker, delivered = msgpack.Unpacker(strict_map_key=False), self.delivered
            unpacker.feed(self.socket.recv())
            header, *rest = unpacker
            header = self.from_map("link_header", header)
            for envelope, body in zip(rest[::2], rest[1::2]):
                self.receive(self.from_map("envelope", envelope), body)
            if self.greeted:
                self.grant = (max(self.grant[0], header["credit_messages"]),
                              max(self.grant[1], header["credit_bytes"]))
                self.window = self.window or self.grant[0]
                passed = self.grant[0] - self.window  # as many are settled, in a row
                self.settle(None, lambda i: i["tell"] and 0 < i["sequence"] <= passed)
            self.flush(credit=self.delivered > delivered)

    def receive(self, envelope, data):
        name = self.names.get(envelope["message"])
        if not name:
            return  # of a newer version
        body = self.from_map(name, msgpack.unpackb(data, strict_map_key=False))
        if name == "failure" and name not in self.on:
            sys.exit(f"peer.py: error {body['number']}: {body['text']}")
        if name == "not_greeted" and self.greeted:
            self.greet()
        elif name == "welcome" and envelope["correlation"] == self.hello:
            self.greeted, self.heartbeat_s = True, body["heartbeat_ms"] / 1000
        if name == "deliver" or self.rows[name]["credited_by"] == "receiver":
            self.delivered, self.received = self.delivered + 1, self.received + len(data)
        for outcome in body["list"] if name == "outcomes" else []:
            self.settle(outcome, lambda i: outcome["first"] <= i["sequence"] <= outcome["last"])
        if envelope["kind"] == self.kinds["reply"]:
            self.settle(body, lambda i: i["correlation"] == envelope["correlation"])
        self.on.get(name if self.greeted else "", lambda *_: None)(body, envelope)

    def settle(self, answer, matches):
        for item in [item for item in self.unanswered if matches(item)]:
            self.unanswered.remove(item)
            item["answered"](answer)

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {"schema": "s.json", "endpoint": "tcp://127.0.0.1:7700", "topic": "demo",
                          "group": "", "name": "peer.py", "count": 1000, "timeout": 60}.items():
        parser.add_argument("--" + name, default=default, type=type(default), help=repr(default))
    options = parser.parse_args()
    results, events, late = [], [], time.monotonic() + options.timeout

    def ensure(*_):  # every session subscribes; the first one publishes
        peer.post("topic_ensure", subscribe, topic=options.topic, sequence=1)
    def subscribe(_topic_info):
        events.clear()
        peer.post("subscribe", publish, topic=options.topic, group=options.group)
    def publish(_subscribed):
        for n in range(0 if results or peer.unanswered else options.count):
            peer.post("publish", lambda outcome: results.append(outcome["result"]),
                      topic=options.topic, key=b"key-%d" % (n % 10), producer=options.name,
                      sequence=n // 10 + 1, payload=b"event %d" % n)
    def deliver(body, _envelope):
        events.extend((event["key"], event["sequence"]) for event in body["events"])
        if options.group:
            offsets = [event["offset"] for event in body["events"]]
            peer.post("acknowledge", subscription=body["subscription"], through=[
                {"partition": body["partition"], "first": min(offsets), "offset": max(offsets)}])

    peer = Peer(json.load(open(options.schema)), options.endpoint, options.name,
                {"welcome": ensure, "deliver": deliver})
    while min(len(results), len(events)) < options.count and time.monotonic() < late:
        peer.poll()
    peer.post("goodbye")
    peer.flush()
    in_order = sorted(events, key=lambda event: event[0]) == sorted(set(events))  # a stable sort
    print(json.dumps({"answered": len(results), "duplicates": results.count(2), "rejected":
                      results.count(4), "delivered": len(events), "in_order": in_order}))
    sys.exit(not (in_order and 4 not in results and len(results) == options.count <= len(events)))

if __name__ == "__main__":
    main()
