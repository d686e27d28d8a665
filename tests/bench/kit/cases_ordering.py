"""The cases of `compare ordering`. Sizes are events and the events of a batch, chosen so that a run
takes some seconds on two cores; the rates are compared, not the times."""
from cases import Case, Goal, Peer

CASES = (
    Case("pipeline", "durable", "64 bytes through a durable stream: one publisher's process, a "
         "server, one consumer's process, which acknowledges",
         arguments=(1000000, 64),
         peers=(Peer("nats", Goal("faster than JetStream", ratio_least=1), program="stream",
                     label="JetStream, file, not synced per answer", arguments=(200000, 64)),
                Peer("redis", Goal("faster than Redis", ratio_least=1), program="stream",
                     label="stream, appendfsync always", arguments=(200000, 64)))),
)
