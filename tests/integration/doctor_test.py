#!/usr/bin/python3
"""`capstan doctor` against servers of the test's own: a healthy one, ones that are set wrongly, and
ones that do not answer. What would need waiting, or a machine with another clock, is made by views
and functions in a schema that is searched before the server's own."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kit"))
from real_node import PROGRAM  # noqa: E402
from real_postgres import RealPostgres  # noqa: E402

SECONDS_MAX = 60
NAMES = ["connection", "version", "rights", "role", "fsync", "full_page_writes",
         "synchronous_commit", "synchronous_standbys", "tls", "encoding",
         "standard_conforming_strings", "connections", "horizon", "idle_sessions", "slots",
         "clock", "latency"]
# What a doctor that leaves something behind would change.
LEFT_BEHIND = """
    SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc),
           (SELECT count(*) FROM pg_namespace), (SELECT count(*) FROM pg_replication_slots),
           (SELECT sum(n) FROM (SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory'
            UNION ALL SELECT count(*) FROM pg_prepared_xacts) AS held)"""
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'capstan doctor'"
FAKE = "options=-csearch_path=fake,pg_catalog"


def doctor(server, *arguments, **environment):
    return subprocess.run([PROGRAM, "doctor", *arguments], capture_output=True, text=True,
                          env=os.environ | server.environment | environment,
                          timeout=SECONDS_MAX, check=False)


def examined(server, *arguments, **environment):
    """The checks by their names, and the exit status."""
    done = doctor(server, "--json", *arguments, **environment)
    report = json.loads(done.stdout)
    assert done.stderr == "", done.stderr
    checks = {check.pop("name"): check for check in report["checks"]}
    for verdict in ("ok", "skipped", "warning", "failure"):
        assert report[verdict] == sum(c["verdict"] == verdict for c in checks.values())
    return checks, done.returncode


class Session:
    """A second connection that stays open."""

    def __init__(self, server, *statements, name="psql"):
        self.psql = subprocess.Popen(
            ["psql", "-qAtX"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | server.environment | {"PGAPPNAME": name})
        self.pid = self.ask("SELECT pg_backend_pid();")
        for statement in statements:
            self.ask(statement + " SELECT 1;")

    def ask(self, statement):
        self.psql.stdin.write(statement + "\n")
        self.psql.stdin.flush()
        return self.psql.stdout.readline().strip()

    def close(self):
        self.psql.communicate()


class Case(unittest.TestCase):
    def verdict(self, checks, name, verdict, *texts):
        """The check has the verdict, its line the texts, and a remedy unless it is ok."""
        check = checks[name]
        self.assertEqual(check["verdict"], verdict, check)
        self.assertEqual("remedy" in check, verdict != "ok", check)
        for text in texts:
            self.assertIn(text, check["found"] + ". " + check.get("remedy", ""))

    def must(self, server, *statements):
        answer = ""
        for statement in statements:
            done = server.run_sql(statement)
            self.assertEqual(done.returncode, 0, done.stderr)
            answer = done.stdout.strip()
        return answer

    def until(self, server, statement, answer):
        late = time.monotonic() + SECONDS_MAX
        while self.must(server, statement) != answer:
            self.assertLess(time.monotonic(), late, statement)
            time.sleep(0.02)


class Healthy(Case):
    """A server as Capstan wants it, and what goes wrong with connections, users, others on it."""

    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(
            RealPostgres("wal_level = logical", "max_prepared_transactions = 5"))
        for statement in ("CREATE ROLE app LOGIN PASSWORD 'secret'",
                          "CREATE ROLE guest LOGIN PASSWORD 'secret'",
                          "GRANT pg_read_all_stats TO app",
                          "CREATE DATABASE orders OWNER app",
                          "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0",
                          "CREATE SCHEMA fake", "CREATE TABLE t (n int)"):
            assert cls.server.run_sql(statement).returncode == 0, statement

    def fake(self, *statements):
        """Until the end of the test, with FAKE the server's own are not found but these."""
        self.addCleanup(self.must, self.server, "DROP SCHEMA fake CASCADE", "CREATE SCHEMA fake")
        self.must(self.server, *statements)

    def test_all_is_well_and_nothing_is_left_behind(self):
        before = self.must(self.server, LEFT_BEHIND)
        checks, status = examined(self.server, "user=app dbname=orders")
        self.assertEqual(list(checks), NAMES)
        for name in NAMES:
            self.verdict(checks, name, "ok")
        self.assertEqual(status, 0)
        self.verdict(checks, "synchronous_commit", "ok", "on: a stored event")
        self.verdict(checks, "synchronous_standbys", "ok", "`replicated` cannot be promised")
        self.verdict(checks, "tls", "ok", "stays on this machine")
        self.assertEqual(checks["connections"]["maximum"], 100)
        self.assertEqual(checks["connections"]["free"], 100 - 3 - checks["connections"]["used"])
        self.assertLess(abs(checks["clock"]["ahead_us"]), 50000)
        self.assertEqual(self.must(self.server, LEFT_BEHIND), before)
        self.until(self.server, SESSIONS, "0")

    def test_lines_for_people_have_a_check_each(self):
        done = doctor(self.server)
        self.assertEqual(done.returncode, 0, done.stderr)
        *lines, sums = done.stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines], NAMES)
        self.assertEqual({line.split()[1] for line in lines}, {"ok", "warning"})
        self.assertRegex(sums, r"^16 ok, 0 skipped, 1 warning, 0 failures$")
        self.assertRegex(lines[0], r"ok +127.0.0.1 port \d+, database postgres, user capstan, in ")
        self.assertRegex(lines[2], r"warning .*superuser\. Let Capstan connect as a user of ")

    def test_commits_that_are_measured_reach_the_disk(self):
        syncs = "SELECT wal_sync FROM pg_stat_wal"
        before = int(self.must(self.server, syncs))
        checks, _ = examined(self.server)
        latency = checks["latency"]
        self.assertAlmostEqual(latency["commits_per_second"], 1e6 / latency["commit_us"], 3)
        self.assertGreater(latency["commit_us"], 0)
        self.assertGreaterEqual(int(self.must(self.server, syncs)) - before, 20)

    def test_each_way_to_have_no_connection_has_its_text_and_remedy(self):
        wrong = [
            ("host=host.invalid", {}, "the host \"host.invalid\" is unknown", "DNS"),
            ("port=1", {}, "no server listens at 127.0.0.1 port 1", "Start the server"),
            ("host=/nowhere", {}, "no server listens at /nowhere port", "Start the server"),
            ("", {"PGPASSWORD": "hush"}, "the password is wrong", "--password-file"),
            ("", {"PGPASSWORD": ""}, "wants a password, and none was given", "--password-file"),
            ("user=nobody", {}, "the user is unknown", "Correct the user"),
            ("dbname=none", {}, "the database is unknown", "CREATE DATABASE"),
            ("sslmode=require", {}, "no connection to 127.0.0.1", "CONNINFO"),
            ("service=none", {}, "no connection to the server: definition of service", "CONNINFO"),
        ]
        for conninfo, environment, found, remedy in wrong:
            with self.subTest(conninfo=conninfo, **environment):
                checks, status = examined(self.server, conninfo, **environment)
                self.assertEqual((list(checks), status), (["connection"], 1))
                self.verdict(checks, "connection", "failure", found, remedy)
                self.assertNotIn("hush", str(checks))

    def test_several_hosts_are_tried_in_turn(self):
        port = self.server.environment["PGPORT"]
        for conninfo in (f"host=host.invalid,127.0.0.1,localhost port=1,1,{port}",
                         f"postgresql://127.0.0.1:1,localhost:{port}/", "host=localhost"):
            checks, _ = examined(self.server, conninfo)
            self.verdict(checks, "connection", "ok", f"localhost port {port}")

    def test_the_password_comes_from_a_file_and_is_never_printed(self):
        path = pathlib.Path(self.server.folder, "own_password")
        path.write_text("secret\n", encoding="utf-8")
        checks, status = examined(self.server, "--password-file", str(path), PGPASSWORD="hush")
        self.assertEqual((checks["connection"]["verdict"], status), ("ok", 0))
        checks, status = examined(self.server, "--password-file", "none/such")
        self.assertEqual(status, 1)
        self.verdict(checks, "connection", "failure", "none/such cannot be read")
        for conninfo in ("password=hush", "postgresql://capstan:hush@127.0.0.1/postgres"):
            done = doctor(self.server, conninfo)
            self.assertNotIn("hush", done.stdout + done.stderr)
            self.assertEqual(done.returncode, 1)

    def test_wrong_usage_is_told_without_what_may_be_secret(self):
        for arguments, text in ((["password=hush foo"], "CONNINFO: missing"),
                                (["postgresql://u:hush@[::1"], "CONNINFO: "),
                                (["hush=1"], "CONNINFO: invalid connection option"),
                                (["a=b", "c=d"], "unexpected"),
                                (["--timeout", "0s"], "--timeout"), (["--timeout", "x"], "no dur"),
                                (["--jsn"], "did you mean --json?")):
            done = doctor(self.server, *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn(text, done.stderr)
            self.assertIn("Try `capstan doctor --help`.", done.stderr)
            if "hush=1" not in arguments:
                self.assertNotIn("hush", done.stderr)

    def test_a_user_without_rights_is_told_which(self):
        checks, status = examined(self.server, "user=guest")
        self.assertEqual(status, 1)
        self.verdict(checks, "rights", "failure", "guest may not create tables in schema public",
                     "GRANT CREATE ON SCHEMA public TO guest")
        self.verdict(checks, "latency", "ok", "per second")
        checks, status = examined(self.server, "user=guest options=-csearch_path=none")
        self.verdict(checks, "rights", "failure", "no schema of search_path exists")

    def test_a_user_who_may_not_see_others_is_told_so(self):
        session = Session(self.server, "BEGIN; INSERT INTO t VALUES (1);", name="writer")
        self.addCleanup(session.close)
        checks, _ = examined(self.server, "user=guest")
        self.verdict(checks, "horizon", "warning", f"pid {session.pid} (writer), which has written",
                     "may not see", 'GRANT pg_read_all_stats TO "guest"')

    def test_an_open_transaction_is_shown_with_who_has_it(self):
        session = Session(self.server, "BEGIN; INSERT INTO t VALUES (1);", name="old \x1b[1m")
        self.addCleanup(session.close)
        self.until(self.server, "SELECT state FROM pg_stat_activity WHERE pid = " + session.pid,
                   "idle in transaction")
        checks, status = examined(self.server)
        self.assertEqual(status, 0)
        self.verdict(checks, "horizon", "ok", f"the oldest is a transaction of pid {session.pid} (",
                     "user capstan, idle in transaction for", "which has written")
        self.assertGreater(checks["horizon"]["oldest_us"], 0)
        self.verdict(checks, "idle_sessions", "warning", "1 idle in transaction",
                     "Set idle_in_transaction_session_timeout")
        self.assertNotIn("\x1b", doctor(self.server).stdout)
        checks, _ = examined(self.server,
                             "options=-cidle_in_transaction_session_timeout=90s")
        self.verdict(checks, "idle_sessions", "ok", "the limit is 90s")

    def test_a_transaction_of_minutes_warns_and_one_of_hours_fails(self):
        session = Session(self.server, "BEGIN; INSERT INTO t VALUES (1);")
        self.addCleanup(session.close)
        columns = ("datid, datname, pid, usename, application_name, state_change, state, "
                   "backend_xid, backend_xmin, query, backend_type")
        self.fake()
        for age, verdict, status in (("2 minutes", "warning", 0), ("2 hours", "failure", 1)):
            self.must(self.server, "CREATE OR REPLACE VIEW fake.pg_stat_activity AS SELECT "
                      f"{columns}, xact_start - interval '{age}' AS xact_start "
                      "FROM pg_catalog.pg_stat_activity")
            checks, got = examined(self.server, FAKE)
            self.assertEqual(got, status)
            self.verdict(checks, "horizon", verdict, f"pid {session.pid}",
                         f"SELECT pg_terminate_backend({session.pid})")

    def test_prepared_transactions_hold_back_the_horizon(self):
        self.addCleanup(self.must, self.server, "ROLLBACK PREPARED 'it''s'")
        self.must(self.server, "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'it''s'")
        checks, status = examined(self.server)
        self.verdict(checks, "horizon", "ok", "the oldest is prepared transaction it's of capstan")
        self.fake("CREATE VIEW fake.pg_prepared_xacts AS SELECT gid, owner, database, "
                  "prepared - interval '2 hours' AS prepared FROM pg_catalog.pg_prepared_xacts")
        checks, status = examined(self.server, FAKE)
        self.verdict(checks, "horizon", "failure", "2.0 hours old", "ROLLBACK PREPARED 'it''s'")
        self.assertEqual(status, 1)

    def test_slots_that_nobody_reads_are_named(self):
        self.addCleanup(self.must, self.server, "SELECT pg_drop_replication_slot('left')")
        self.must(self.server, "SELECT pg_create_physical_replication_slot('left', true)",
                  "INSERT INTO t VALUES (1)", "SELECT pg_switch_wal()")
        checks, status = examined(self.server)
        self.assertEqual(status, 0)
        self.verdict(checks, "slots", "warning", "slot left, which nobody reads, holds back",
                     "SELECT pg_drop_replication_slot('left')", "1 of max_replication_slots = 10")
        self.assertGreater(checks["slots"]["held_bytes_max"], 0)
        self.fake("CREATE VIEW fake.pg_replication_slots AS SELECT slot_name, active, restart_lsn, "
                  "'3'::xid AS xmin FROM pg_catalog.pg_replication_slots")
        checks, _ = examined(self.server, FAKE)
        self.verdict(checks, "horizon", "warning", "slot left, which nobody reads, holds a snap",
                     "pg_drop_replication_slot('left')")

    def test_a_clock_that_is_wrong_is_noticed(self):
        self.fake()
        for apart, verdict, word in (("300 ms", "warning", "ahead"), ("-8 s", "failure", "behind"),
                                     ("8 s", "failure", "ahead"), ("40 ms", "ok", "ahead")):
            self.must(self.server, "CREATE OR REPLACE FUNCTION fake.clock_timestamp() "
                      "RETURNS timestamptz LANGUAGE sql AS "
                      f"$$ SELECT pg_catalog.clock_timestamp() + interval '{apart}' $$")
            checks, status = examined(self.server, FAKE)
            self.verdict(checks, "clock", verdict, word)
            self.assertEqual(status, verdict == "failure")

    def test_versions_out_of_support_are_told(self):
        self.fake()
        for number, name, verdict in (("120022", "12.22", "failure"), ("130001", "13.1", "warning"),
                                      ("990000", "99.0", "ok")):
            self.must(self.server, "CREATE OR REPLACE FUNCTION fake.current_setting(text) "
                      "RETURNS text LANGUAGE sql AS $$ SELECT CASE $1 "
                      f"WHEN 'server_version_num' THEN '{number}' "
                      f"WHEN 'server_version' THEN '{name}' "
                      "ELSE pg_catalog.current_setting($1) END $$")
            checks, _ = examined(self.server, FAKE)
            self.verdict(checks, "version", verdict, f"PostgreSQL {name}")

    def test_what_a_session_is_set_to_counts(self):
        checks, status = examined(self.server, "options=-csynchronous_commit=off")
        self.assertEqual(status, 1)
        self.verdict(checks, "synchronous_commit", "failure", "off: an event may be answered as "
                     "stored and be lost", "Set synchronous_commit = on")
        self.verdict(checks, "latency", "ok", "(with synchronous_commit = local)")
        checks, status = examined(self.server, "options='-cdefault_transaction_read_only=on "
                                  "-cstandard_conforming_strings=off'")
        self.verdict(checks, "role", "failure", "default_transaction_read_only is on", "ALTER ROLE")
        self.verdict(checks, "standard_conforming_strings", "failure", "off")
        for value in ("local", "remote_write", "remote_apply"):
            checks, status = examined(self.server, f"options=-csynchronous_commit={value}")
            self.verdict(checks, "synchronous_commit", "ok", f"{value}: a stored event is")

    def test_a_database_that_is_not_utf8_fails(self):
        checks, status = examined(self.server, "dbname=latin")
        self.assertEqual(status, 1)
        self.verdict(checks, "encoding", "failure", "LATIN1", "ENCODING 'UTF8'")

    def test_limits_of_a_user_count_too(self):
        self.addCleanup(self.must, self.server, "ALTER ROLE app CONNECTION LIMIT -1")
        self.must(self.server, "ALTER ROLE app CONNECTION LIMIT 5")
        checks, _ = examined(self.server, "user=app dbname=orders")
        self.verdict(checks, "connections", "warning", "4 free", "Raise max_connections")

    def test_a_connection_that_is_lost_midway_is_told(self):
        self.fake("CREATE FUNCTION fake.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS "
                  "$$ SELECT pg_terminate_backend(pg_backend_pid()) $$")
        checks, status = examined(self.server, FAKE)
        self.assertEqual((status, list(checks)), (1, NAMES))
        self.verdict(checks, "role", "failure", "the connection was lost", "log")
        self.verdict(checks, "latency", "skipped", "the connection was lost before")

    def test_a_statement_without_an_answer_ends_in_time(self):
        self.fake("CREATE FUNCTION fake.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS "
                  "$$ SELECT count(*) > 0 FROM public.t $$")
        session = Session(self.server, "BEGIN; LOCK TABLE t;")
        self.addCleanup(session.close)
        begin = time.monotonic()
        checks, status = examined(self.server, FAKE, "--timeout", "500ms")
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(status, 1)
        self.verdict(checks, "role", "failure", "no answer within 500", "--timeout")
        self.verdict(checks, "encoding", "ok")

    def test_a_server_that_is_stopped_is_given_up(self):
        self.addCleanup(self.server.server.send_signal, signal.SIGCONT)
        self.server.server.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        checks, status = examined(self.server, "--timeout", "300ms")
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual((status, list(checks)), (1, ["connection"]))
        self.verdict(checks, "connection", "failure", "no answer from 127.0.0.1", "within 300",
                     "firewall")


class Ill(Case):
    """Servers that are set wrongly."""

    def test_settings_that_lose_events_are_failures(self):
        server = self.enterContext(RealPostgres(
            "fsync = off", "full_page_writes = off", "synchronous_commit = off",
            "max_connections = 10", "max_replication_slots = 0"))
        checks, status = examined(server)
        self.assertEqual(status, 1)
        self.verdict(checks, "fsync", "failure", "off: a crash", "ALTER SYSTEM SET fsync = on")
        self.verdict(checks, "full_page_writes", "failure", "off: ", "full_page_writes = on")
        self.verdict(checks, "synchronous_commit", "failure", "off: ")
        self.verdict(checks, "connections", "warning", "free: ", "Raise max_connections")
        self.verdict(checks, "slots", "warning", "max_replication_slots = 0", "wal_level = replica",
                     "Set wal_level = logical")
        sessions = [Session(server) for _ in range(7)]
        self.must(server, "CREATE ROLE guest LOGIN PASSWORD 'secret'")
        checks, status = examined(server, "user=guest")
        self.assertEqual(status, 1)
        self.verdict(checks, "connection", "failure", "no connection is free", "max_connections")
        for session in sessions:
            session.close()

    def test_commits_that_would_wait_for_ever_leave_no_session(self):
        server = self.enterContext(RealPostgres())
        self.must(server, "CREATE SCHEMA fake",
                  "CREATE VIEW fake.pg_stat_replication AS SELECT 1 AS pid, 'sync' AS sync_state",
                  "ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
                  "SELECT pg_reload_conf()")
        self.until(server, "SHOW synchronous_standby_names", "nobody")
        checks, status = examined(server)
        self.assertEqual(status, 1)
        self.verdict(checks, "synchronous_standbys", "failure", "nobody, none of which is conn",
                     "synchronous_standby_names")
        self.verdict(checks, "latency", "ok", "(with synchronous_commit = local)")
        checks, status = examined(server, FAKE, "--timeout", "500ms")
        self.verdict(checks, "synchronous_standbys", "ok", "`replicated` can be promised")
        self.verdict(checks, "latency", "failure", "no answer within 500")
        self.until(server, SESSIONS, "0")

    def test_a_standby_is_a_failure_and_commits_nothing(self):
        server = self.enterContext(RealPostgres())
        server.stop(signal.SIGINT)
        folder = pathlib.Path(server.folder, "data")
        signal_file = folder / "standby.signal"
        signal_file.touch()
        shutil.chown(signal_file, folder.owner(), folder.group())
        server.start()
        checks, status = examined(server)
        self.assertEqual(status, 1)
        self.verdict(checks, "role", "failure", "a standby in recovery", "target_session_attrs")
        self.verdict(checks, "latency", "skipped", "round trip", "a standby commits nothing")
        checks, _ = examined(server, "target_session_attrs=read-write")
        self.verdict(checks, "connection", "failure", "read-only")


class Encrypted(Case):
    """A server that other machines could reach."""

    def setUp(self):
        self.server = self.enterContext(RealPostgres("listen_addresses = '*'"))
        self.data = pathlib.Path(self.server.folder, "data")

    def own_address(self):
        """One of this machine's that is not the loopback's; nothing is sent to find it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))
            except OSError:
                return None
            return probe.getsockname()[0]

    def test_what_leaves_the_machine_is_to_be_encrypted(self):
        address = self.own_address()
        if not address or address.startswith("127."):
            self.skipTest("this machine has the loopback only")
        with open(self.data / "pg_hba.conf", "a", encoding="utf-8") as rules:
            rules.write("host all all all scram-sha-256\n")
        self.must(self.server, "SELECT pg_reload_conf()")
        checks, _ = examined(self.server, f"host={address}")
        self.verdict(checks, "tls", "warning", f"not encrypted on the way to {address}",
                     "sslmode=verify-full")

    def test_an_encrypted_connection_is_shown_as_such(self):
        key, certificate = self.data / "server.key", self.data / "server.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        key.chmod(0o600)
        for path in (key, certificate):
            shutil.chown(path, self.data.owner(), self.data.group())
        self.must(self.server, "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
        self.until(self.server, "SHOW ssl", "on")
        checks, _ = examined(self.server, "sslmode=require")
        self.verdict(checks, "tls", "ok", "TLSv1.")
        checks, _ = examined(self.server, f"host=localhost sslmode=verify-full "
                             f"sslrootcert={self.data / 'none.crt'}")
        self.verdict(checks, "connection", "failure", "no connection to localhost", "none.crt")


if __name__ == "__main__":
    unittest.main(verbosity=2)
