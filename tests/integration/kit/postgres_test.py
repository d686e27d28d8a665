#!/usr/bin/python3
"""The servers that tests start: a standby follows and is promoted, and none is left behind."""
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "kit"))
sys.dont_write_bytecode = True
from real_postgres import RealPostgres  # noqa: E402

LONG_S = 60


class Servers(unittest.TestCase):
    def sql(self, server, statement):
        result = server.run_sql(statement)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.strip()

    def until(self, server, statement, wanted):
        late = time.monotonic() + LONG_S
        while (result := server.run_sql(statement)).stdout.strip() != wanted:
            self.assertLess(time.monotonic(), late, result)
            time.sleep(0.02)

    def test_a_standby_follows_and_takes_writes_once_it_is_promoted(self):
        primary = self.enterContext(RealPostgres())
        standby = self.enterContext(RealPostgres(primary=primary))
        self.sql(primary, "CREATE TABLE orders AS SELECT 7 AS id")
        self.until(standby, "SELECT id FROM orders", "7")
        self.assertIn("read-only", standby.run_sql("INSERT INTO orders VALUES (8)").stderr)
        primary.stop()
        standby.promote()
        self.sql(standby, "INSERT INTO orders VALUES (8)")
        self.assertEqual(self.sql(standby, "SELECT pg_is_in_recovery()"), "f")

    def test_a_server_that_cannot_be_entered_leaves_nothing_behind(self):
        def cannot_start():
            raise AssertionError("the server does not start")

        refused = RealPostgres("no_such_setting = 1")
        running = RealPostgres()
        start, running.start = running.start, lambda: (start(), cannot_start())
        primary = RealPostgres()
        primary.environment = {"PGPORT": "1"}
        for server, failure in ((refused, AssertionError), (running, AssertionError),
                                (RealPostgres(primary=primary), subprocess.CalledProcessError)):
            with self.assertRaises(failure), server:
                self.fail("it was entered")
            self.assertFalse(os.path.exists(server.folder))
            self.assertIsNone(server.server)


if __name__ == "__main__":
    unittest.main()
