"""A PostgreSQL server of a test's own: see postgres/cluster."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

CLUSTER = pathlib.Path(__file__).parent / "postgres" / "cluster"
START_S = 60


class RealPostgres:
    """With `environment` libpq finds it."""

    def __init__(self, *settings):
        self.folder = tempfile.mkdtemp(prefix="capstan-postgres-")
        self.settings = settings
        self.server = None

    def __enter__(self):
        made = subprocess.run([CLUSTER, "make", self.folder, *self.settings], check=True,
                              stdout=subprocess.PIPE, text=True)
        self.environment = {"PGHOST": "127.0.0.1", "PGPORT": made.stdout.strip(),
                            "PGUSER": "capstan", "PGPASSWORD": "secret",
                            "PGDATABASE": "postgres"}
        self.start()
        return self

    def __exit__(self, *_):
        if self.server:
            self.stop()
        shutil.rmtree(self.folder)

    def start(self):
        self.server = subprocess.Popen([CLUSTER, "run", self.folder])
        late = time.monotonic() + START_S
        while self.run_sql("SELECT 1").returncode != 0:
            assert time.monotonic() < late, "the server does not start"
            time.sleep(0.05)

    def stop(self, how=signal.SIGQUIT):
        self.server.send_signal(how)
        self.server.wait(START_S)
        self.server = None

    def run_sql(self, statement):
        return subprocess.run(["psql", "-qAtX", "-c", statement], env=os.environ | self.environment,
                              capture_output=True, text=True, check=False)
