"""A node that does what a test tells it to: it speaks the protocol to peers, and keeps nothing.

    with FakeNode() as node:
        node.answer = lambda event, attempt: "stored"
        subprocess.run([..., "--to", node.endpoint])

`answer` is called for each publish with its fields by name and how often its (key, sequence) came
before; it returns "stored", "duplicate", "held", the name of an error, or None for no answer.
`events` are delivered to whoever subscribes. `forget()` loses all sessions, as a restart does.
`sagas` is called for each request to the actor `saga` with its name and its fields; it returns the
name and the fields of the reply (values within fields: `encode`), raises Refused, or returns None
for no answer.
The numbers come from the tables (*.def).
"""
import pathlib
import re
import threading

import msgpack
import zmq

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = ["runtime/wire/wire_messages.def", "brokers/gateway/gateway_messages.def",
          "actors/ordering/ordering_messages.def", "actors/saga/saga_messages.def"]
RESULTS = {"stored": 1, "duplicate": 2, "held": 3}
EVENT, REPLY, ERROR = 3, 2, 4


def read_tables():
    """{name: (number, {field: key})} of messages and records, and {number: name} of messages."""
    rows, names = {}, {}
    for table in TABLES:
        text = (ROOT / table).read_text(encoding="utf-8")
        for row in re.finditer(r"^(MESSAGE|RECORD)\((\w+), (\w+).*?^END", text, re.M | re.S):
            fields = re.findall(r"^(?:LIST_)?FIELD\((\d+), (\w+)", row.group(0), re.M)
            kind, number, name = row.group(1), int(row.group(2), 0), row.group(3)
            rows[name] = (number, {field: int(key) for key, field in fields})
            if kind == "MESSAGE":
                names[number] = name
    return rows, names


ROWS, NAMES = read_tables()
ERRORS = {name: int(number) for name, number in
          re.findall(r"^ERROR\((\w+), (\d+)",
                     (ROOT / "include/capstan/errors.def").read_text(encoding="utf-8"), re.M)}


def encode(row, /, **fields):
    return {ROWS[row][1][name]: value for name, value in fields.items() if value is not None}


def decode(row, data):
    names = {key: name for name, key in ROWS[row][1].items()}
    return {names[key]: value for key, value in data.items()}


def encoded(row, /, **fields):
    """A record as it stands in a field of another one."""
    return msgpack.packb(encode(row, **fields))


class Refused(Exception):
    """The name of an error, and what is said about it."""


class FakeNode:
    def __init__(self):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.answer = lambda event, attempt: "stored"
        self.events = []  # (partition, {field: value})
        self.sagas = None
        self.asked = []  # (name, {field: value}) of each request to the actor `saga`
        self.subscribes, self.acknowledged, self.published = [], [], []
        self.hellos = 0
        self.sessions = {}  # routing id: credited messages taken
        self.attempts = {}
        self.stopping = threading.Event()
        self.parted = threading.Event()  # a goodbye has come, and all that was sent before it
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        self.socket.close(linger=0)
        self.context.term()

    def forget(self):
        """Only from within `answer`."""
        self.sessions.clear()

    def send(self, peer, messages, correlation=None, sender=None):
        data = msgpack.packb(encode("link_header", version=1, count=len(messages), sequence=1,
                                    credit_messages=1 << 30, credit_bytes=1 << 40))
        for name, kind, body in messages:
            data += msgpack.packb(encode("envelope", message=ROWS[name][0], kind=kind,
                                         correlation=correlation, sender=sender))
            data += msgpack.packb(body if isinstance(body, bytes) else msgpack.packb(body))
        self.socket.send_multipart([peer, data])

    def reply(self, peer, envelope, name, /, **fields):
        self.send(peer, [(name, REPLY, encode(name, **fields))], envelope.get("correlation"))

    def serve(self):
        while not self.stopping.is_set():
            if self.socket.poll(20):
                peer, data = self.socket.recv_multipart()
                self.take_batch(peer, data)

    def take_batch(self, peer, data):
        unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
        unpacker.feed(data)
        header = decode("link_header", unpacker.unpack())
        outcomes = []
        for _ in range(header["count"]):
            envelope = decode("envelope", unpacker.unpack())
            name = NAMES[envelope["message"]]
            body = decode(name, msgpack.unpackb(unpacker.unpack(), strict_map_key=False))
            self.take(peer, name, envelope, body, outcomes)
        if outcomes and peer in self.sessions:
            self.send(peer, [("outcomes", EVENT, encode("outcomes", list=outcomes))])

    def take(self, peer, name, envelope, body, outcomes):
        if name == "hello":
            self.hellos += 1
            self.sessions[peer] = 0
            self.reply(peer, envelope, "welcome", version=1, node=1, boot=1, heartbeat_ms=500,
                       event_bytes_max=1 << 20)
        elif peer not in self.sessions:
            self.send(peer, [("not_greeted", EVENT, encode("not_greeted", node=1, boot=1))])
        elif name == "ping":
            self.reply(peer, envelope, "pong")
        elif name == "acknowledge":
            self.acknowledged += [decode("position", one) for one in body["through"]]
        elif name == "goodbye":
            self.parted.set()
        elif name.startswith("saga_"):
            self.sessions[peer] += 1
            self.on_saga(peer, name, envelope, body)
        else:
            self.sessions[peer] += 1
            getattr(self, "on_" + name)(peer, envelope, body, outcomes)

    def on_topic_ensure(self, peer, envelope, body, _):
        self.reply(peer, envelope, "topic_info", topic=body["topic"], partitions=4, sequence=1)

    def on_publish(self, peer, _, event, outcomes):
        sequence = self.sessions[peer]
        identity = (event["key"], event.get("sequence"))
        attempt = self.attempts.get(identity, 0)
        self.attempts[identity] = attempt + 1
        self.published.append(event)
        result = self.answer(event, attempt)
        if result is not None:
            outcomes.append(encode("outcome", first=sequence, last=sequence,
                                   result=RESULTS.get(result, 4), error=ERRORS.get(result)))

    def on_subscribe(self, peer, envelope, body, _):
        self.subscribes.append(body)
        self.reply(peer, envelope, "subscribed", subscription=1, partitions=4)
        for partition, event in list(self.events):
            deliver = encode("deliver", subscription=1, partition=partition,
                             events=[encode("event", **event)])
            self.send(peer, [("deliver", EVENT, deliver)])

    def on_resolve(self, peer, envelope, body, _):
        if body["address"] == "saga" and self.sagas:
            self.reply(peer, envelope, "resolved", actor=[1, 1])
        else:
            self.refuse(peer, envelope, "NOT_FOUND", "")

    def refuse(self, peer, envelope, error, text):
        self.send(peer, [("failure", ERROR, encode("failure", number=ERRORS[error], text=text))],
                  envelope["correlation"])

    def on_saga(self, peer, name, envelope, body):
        self.asked.append((name, body))
        try:
            answer = self.sagas(name, body)
        except Refused as refused:
            self.refuse(peer, envelope, *refused.args)
            return
        if answer:
            self.reply(peer, envelope, answer[0], **answer[1])
