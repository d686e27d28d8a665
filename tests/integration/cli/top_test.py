#!/usr/bin/python3
"""`capstan top` on a terminal of 80 columns and 24 lines, and for scripts, against a real node."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests"))
from kit.real_node import ENVIRONMENT, RealNode  # noqa: E402

WAIT_S = 60
COLUMNS, LINES = 80, 24
HEADING = re.compile(r"^NAME +N +CELL +MSG/S +DEPTH +AGE +TURN +BUSY +DROPS +RST$")


class Screen:
    """`capstan top` on a pseudo terminal; what it writes is followed as a terminal would."""

    def __init__(self, command):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave,
                                        env=ENVIRONMENT, start_new_session=True)
        self.slave = slave
        self.text = ""

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.slave)
        os.close(self.master)

    def press(self, key):
        os.write(self.master, key.encode())

    def resize(self, columns, lines):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def frames(self):
        """The whole screens that were shown so far, each a list of lines without colours."""
        shown = self.text.split("\x1b[H")[1:]
        whole = [frame.split("\x1b[J")[0] for frame in shown if "\x1b[J" in frame]
        return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", frame).replace("\r", "").split("\n")
                for frame in whole]

    def wait(self, wanted, what):
        """The first screen from now on for which `wanted` holds."""
        seen = len(self.frames())
        deadline = time.monotonic() + WAIT_S
        while True:
            for frame in self.frames()[seen:]:
                seen += 1
                if wanted(frame):
                    return frame
            left = deadline - time.monotonic()
            if left <= 0 or not self.read(left):
                raise AssertionError(f"{what} was not shown; the last screen:\n"
                                     + "\n".join(self.frames()[-1] if self.frames() else []))

    def read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            self.text += os.read(self.master, 65536).decode()
        except OSError:
            return False
        return True

    def end(self):
        """Waits for the end; returns its status."""
        while self.process.poll() is None:
            self.read(0.05)
        while self.read(0):
            pass
        return self.process.returncode


def row_of(frame, name):
    return next((line for line in frame if line.startswith(name + " ")), None)


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = RealNode()
        cls.node.__enter__()
        cls.node.feed("--topic", "t", "--key", "k", "--seq", "n", "-", data=b"k,n\na,1\nb,1\na,2\n")

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()

    def open(self, *options):
        screen = Screen(self.node.command("top", "--interval-ms", "200", *options))
        self.addCleanup(screen.close)
        return screen

    def assert_in_order(self, screen):
        """The terminal is as it was: its modes, its first screen, its cursor."""
        self.assertEqual(termios.tcgetattr(screen.slave), screen.before)
        self.assertTrue(screen.text.startswith("\x1b[?1049h\x1b[?25l"))
        self.assertTrue(screen.text.endswith("\x1b[?25h\x1b[?1049l"))

    def test_it_shows_actors_with_their_rates_within_80_columns_and_24_lines(self):
        screen = self.open()
        # Its own requests go through the session and the status actor.
        frame = screen.wait(lambda frame: re.search(r" gateway +[0-9.]+ ",
                                                    row_of(frame, "status") or ""), "a rate")
        self.assertLessEqual(len(frame), LINES)
        self.assertLessEqual(max(map(len, frame)), COLUMNS)
        self.assertRegex(frame[0], r"^capstan  up .* actors 28 ")
        self.assertIn("[r rate]", frame[1])
        self.assertTrue(frame[1].endswith(" q end"))
        self.assertRegex(frame[2].rstrip(), HEADING)
        self.assertRegex(row_of(frame, "partition"), r"^partition +16 ordering ")
        self.assertGreater(float(re.search(r" gateway +([0-9.]+)", row_of(frame, "status"))[1]), 0)
        screen.press("q")
        self.assertEqual(screen.end(), 0)
        self.assert_in_order(screen)

    def test_keys_choose_the_order_and_the_rows(self):
        screen = self.open("--sort", "depth")
        screen.wait(lambda frame: "[d depth]" in frame[1], "the order of --sort")
        screen.press("n")
        frame = screen.wait(lambda frame: "[n name]" in frame[1], "the order by name")
        names = [line.split()[0] for line in frame[3:] if line.strip()]
        self.assertEqual(names, sorted(names))
        screen.press("e")
        frame = screen.wait(lambda frame: "SLOT" in frame[2], "each actor")
        self.assertIn("[e each]", frame[1])
        self.assertGreater(sum(line.startswith("partition ") for line in frame), 1)
        self.assertRegex(frame[-1], r"^\.\.\. and \d+ more rows")
        self.assertEqual(len(frame), LINES)
        screen.press("\x03")
        self.assertEqual(screen.end(), 0)
        self.assert_in_order(screen)

    def test_it_follows_the_size_of_the_terminal(self):
        screen = self.open()
        screen.wait(lambda frame: len(frame) > 10, "the table")
        screen.resize(50, 8)
        frame = screen.wait(lambda frame: len(frame) == 8, "the smaller table")
        self.assertLessEqual(max(map(len, frame)), 50)
        screen.press("q")
        self.assertEqual(screen.end(), 0)

    def test_a_signal_leaves_the_terminal_in_order(self):
        screen = self.open()
        screen.wait(lambda frame: len(frame) > 10, "the table")
        screen.process.send_signal(signal.SIGTERM)
        self.assertEqual(screen.end(), 0)
        self.assert_in_order(screen)

    def test_it_prints_once_and_as_json_for_scripts(self):
        done = self.node.run("top", "--once", "--interval-ms", "200")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertRegex(done.stdout.decode().split("\n")[1], HEADING)
        done = self.node.run("top", "--once", "--json", "--actors", "--sort", "name",
                             "--interval-ms", "200")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(done.stdout.count(b"\n"), 1)
        report = json.loads(done.stdout)
        actors = report["actors"]
        self.assertEqual(len(actors), report["total"]["count"] - report["total"]["hidden"])
        self.assertEqual([actor["name"] for actor in actors],
                         sorted(actor["name"] for actor in actors))
        status = next(actor for actor in actors if actor["name"] == "status")
        self.assertGreater(status["rate"], 0)
        self.assertGreater(status["busy"], 0)
        self.assertGreater(status["turn_us"], 0)

    def test_it_wants_a_terminal_for_its_screen(self):
        done = self.node.run("top")
        self.assertEqual((done.returncode, done.stdout), (2, b""))
        self.assertIn(b"--once", done.stderr)


class Balance(unittest.TestCase):
    def test_status_shows_the_balance_of_each_actor(self):
        with RealNode() as node:
            node.feed("--topic", "t", "--key", "k", "--seq", "n", "-", data=b"k,n\na,1\nb,1\n")
            done = node.run("status", "--actors", "--json")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            report = json.loads(done.stdout)
            self.assertEqual(len(report["actors"]), report["actors_total"]["count"])
            self.assertGreater(sum(actor["name"] == "partition" for actor in report["actors"]), 1)
            for actor in [*report["actors"], report["actors_total"], *node.status()["actors"]]:
                self.assertEqual(actor["sent"], actor["delivered"] + actor["dropped"]
                                 + actor["in_flight"], actor)
                self.assertEqual(actor["dropped"], sum(actor["dropped_by"].values()))
            table = node.run("status", "--actors").stdout.decode()
            self.assertRegex(table, r"(?m)^  name +cell +slot +generation +sent +delivered +")


if __name__ == "__main__":
    unittest.main(verbosity=2)
