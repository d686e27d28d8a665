#!/usr/bin/python3
"""The proxy that stands for a network in tests: each of its faults is what it says."""
import os
import pathlib
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "kit"))
sys.dont_write_bytecode = True
from real_proxy import RealProxy  # noqa: E402

LONG_S = 60
SHORT_S = 0.3  # in which something would be heard, if there were something
BIG = os.urandom(3_000_000)


class Network(unittest.TestCase):
    """The server is this test: what it accepts is the other end of what it connects."""

    def setUp(self):
        self.listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.listener.settimeout(LONG_S)
        self.proxy = self.enterContext(RealProxy(self.listener.getsockname()[1]))

    def do(self, command):
        self.assertEqual(self.proxy.do(command), command)

    def connect(self):
        return self.enterContext(
            socket.create_connection(("127.0.0.1", self.proxy.port), LONG_S))

    def pair(self):
        client = self.connect()
        server = self.enterContext(self.listener.accept()[0])
        server.settimeout(LONG_S)
        return client, server

    def hears(self, receiver, wanted):
        got = b""
        while len(got) < len(wanted):
            got += receiver.recv(1 << 16)
        self.assertEqual(got, wanted)

    def hears_nothing(self, receiver):
        receiver.settimeout(SHORT_S)
        with self.assertRaises(TimeoutError):
            receiver.recv(1)
        receiver.settimeout(LONG_S)

    def passes(self, client, server):
        for sender, receiver in ((client, server), (server, client)):
            sender.sendall(b"hello")
            self.hears(receiver, b"hello")

    def test_all_bytes_and_ends_pass(self):
        client, server = self.pair()
        self.passes(client, server)
        client.sendall(BIG)
        client.shutdown(socket.SHUT_WR)
        self.hears(server, BIG)
        self.assertEqual(server.recv(1), b"")
        server.sendall(b"still here")
        server.close()
        self.hears(client, b"still here")
        self.assertEqual(client.recv(1), b"")

    def test_delay_counts_each_way(self):
        client, server = self.pair()
        self.do("delay 100")
        begin = time.monotonic()
        self.passes(client, server)
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)
        self.do("pass")
        self.passes(client, server)

    def test_rate_bounds_the_bytes_per_second(self):
        client, server = self.pair()
        self.do("rate 100000")
        begin = time.monotonic()
        client.sendall(BIG[:50000])
        self.hears(server, BIG[:50000])
        self.assertGreaterEqual(time.monotonic() - begin, 0.45)

    def test_what_is_dropped_is_not_heard_and_not_closed(self):
        client, server = self.pair()
        self.do("drop")
        for sender, receiver in ((client, server), (server, client)):
            sender.sendall(b"hello")
            self.hears_nothing(receiver)
        late = self.connect()
        late.sendall(b"hello")
        self.hears_nothing(late)
        self.do("pass")
        self.passes(*self.pair())
        for receiver in (client, server, late):
            self.hears_nothing(receiver)

    def test_reset_is_heard_by_both_and_by_who_comes(self):
        client, server = self.pair()
        self.do("reset")
        for receiver in (client, server, self.connect()):
            with self.assertRaises(ConnectionResetError):
                receiver.recv(1)
        self.do("pass")
        self.passes(*self.pair())

    def test_half_ends_the_servers_side_alone(self):
        client, server = self.pair()
        self.do("half")
        self.assertEqual(server.recv(1), b"")
        self.hears_nothing(client)
        client.sendall(b"hello")
        self.hears_nothing(client)
        self.passes(*self.pair())

    def test_a_server_that_refuses_is_a_reset(self):
        self.listener.close()
        with self.assertRaises(ConnectionResetError):
            self.connect().recv(1)

    def test_other_words_change_nothing(self):
        client, server = self.pair()
        for command in ("", "delay", "delay soon", "rate 0", "drop it"):
            self.assertEqual(self.proxy.do(command), "not understood")
        self.passes(client, server)


if __name__ == "__main__":
    unittest.main()
