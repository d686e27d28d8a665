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
    """With `environment` libpq finds it. With `primary` it is a standby of that one."""

    def __init__(self, *settings, primary=None):
        self.settings = settings
        self.primary = primary
        self.folder = None
        self.server = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="capstan-postgres-")
        try:
            self.environment = {"PGHOST": "127.0.0.1", "PGPORT": self._make(),
                                "PGUSER": "capstan", "PGPASSWORD": "secret",
                                "PGDATABASE": "postgres"}
            self.start()
        except BaseException:  # nobody calls __exit__
            self._leave()
            raise
        return self

    def __exit__(self, *_):
        self._leave()

    def _make(self):
        """Its port."""
        how = ["standby", self.folder, self.primary.environment["PGPORT"]] if self.primary \
            else ["make", self.folder]
        return subprocess.run([CLUSTER, *how, *self.settings], check=True,
                              stdout=subprocess.PIPE, text=True).stdout.strip()

    def _leave(self):
        try:
            if self.server:
                self.stop()
        finally:
            shutil.rmtree(self.folder)

    def start(self):
        self.server = subprocess.Popen([CLUSTER, "run", self.folder])
        late = time.monotonic() + START_S
        while self.run_sql("SELECT 1").returncode != 0:
            assert self.server.poll() is None, "the server has ended at once"
            assert time.monotonic() < late, "the server does not start"
            time.sleep(0.05)

    def stop(self, how=signal.SIGQUIT):
        self.server.send_signal(how)
        self.server.wait(START_S)
        self.server = None

    def promote(self):
        """Returns when it takes writes."""
        subprocess.run([CLUSTER, "promote", self.folder], check=True)

    def run_sql(self, statement):
        return subprocess.run(["psql", "-qAtX", "-c", statement], env=os.environ | self.environment,
                              capture_output=True, text=True, check=False)
