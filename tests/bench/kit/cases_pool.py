"""The cases of `compare pool`: threads that share connections which do nothing. Sizes are threads,
connections, how often each thread takes one, and for how many microseconds it holds it."""
from cases import Case, Goal, Peer

CASES = (
    Case("pool", "take_give", "one thread takes a connection and gives it back",
         arguments=(1, 4, 3000000, 0), program="borrowers",
         peers=(Peer("hikaricp", Goal("2x", ratio_least=2)),)),
    Case("pool", "contended", "32 threads on 16 connections, each held for 1 ms",
         arguments=(32, 16, 1000, 1000), program="borrowers",
         peers=(Peer("hikaricp", Goal("at least HikariCP's rate", ratio_least=1)),)),
)
