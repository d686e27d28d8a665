"""The cases of `compare saga`: a transaction of three steps, each durable before the next, on one
machine. Sizes are sagas and how many are under way at a time."""
from cases import Case, Goal, Peer

CASES = (
    Case("saga", "three_steps", "three steps, each transition on disk before the next action, "
         "participants with an inbox on disk; theirs have none",
         arguments=(100000, 500), program="three_steps",
         peers=(Peer("dbos", Goal("30x", ratio_least=30), label="PostgreSQL 15",
                     arguments=(2000, 64)),
                Peer("restate", Goal("30x", ratio_least=30), arguments=(2000, 64)))),
    Case("saga", "alone", "the same, one after the other",
         arguments=(2000, 1), program="three_steps", metric="p50_us",
         peers=(Peer("dbos", Goal("below DBOS", ratio_most=1), label="PostgreSQL 15",
                     arguments=(300, 1)),
                Peer("restate", Goal("below Restate", ratio_most=1), arguments=(300, 1)))),
)
