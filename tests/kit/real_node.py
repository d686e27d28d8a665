"""A real node in a process of its own, for tests: started, killed, started again at its place.

    with RealNode() as node:
        node.feed("--topic", "t", "--key", "k", "rows.csv")
        node.kill()
        node.start()
"""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CAPSTAN_PROGRAM", str(ROOT / "build" / "capstan"))
# The node's settings are the test's own, but for the one that a whole suite is run with.
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if not name.startswith("CAPSTAN_") or name == "CAPSTAN_RUNTIME_STRICT_WIRE"}


def slow_disk(bytes_per_s):
    """The environment of a node whose disk takes so many bytes a second: see kit/slow_disk."""
    return {
        "LD_PRELOAD": os.path.join(os.environ["CAPSTAN_BUILD_DIR"], "tests/slow_disk.so"),
        "SLOW_DISK_BYTES_PER_S": str(bytes_per_s),
        # A sanitizer wants to be loaded first, and keeps what was freed.
        "ASAN_OPTIONS": "verify_asan_link_order=0:quarantine_size_mb=4",
    }


class RealNode:
    def __init__(self, *settings, environment=None):
        self.environment = ENVIRONMENT | (environment or {})
        self.folder = tempfile.mkdtemp(prefix="capstan-test-")
        self.settings = settings
        self.endpoint = "tcp://127.0.0.1:0"
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(30)
            finally:
                self.kill()
        shutil.rmtree(self.folder)

    def start(self):
        """On a free port at first, on the same port and store from then on."""
        arguments = [PROGRAM, "node", "--set", f"gateway.endpoint={self.endpoint}",
                     "--set", f"store.path={self.folder}/capstan.db"]
        for setting in self.settings:
            arguments += ["--set", setting]
        with open(f"{self.folder}/log", "ab") as log:
            self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log,
                                            env=self.environment)
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(30)
            raise AssertionError("the node did not start:\n" + self.log())
        self.endpoint = json.loads(line)["gateway"]

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def log(self):
        with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-40:])

    def command(self, name, *options):
        return [PROGRAM, name, *options, "--to", self.endpoint]

    def run(self, name, *options, data=None, timeout=300):
        """A finished command; its output is bytes."""
        return subprocess.run(self.command(name, *options), input=data, capture_output=True,
                              timeout=timeout, env=ENVIRONMENT, check=False)

    def feed(self, *options, data=None):
        """(finished feed, its summary)"""
        done = self.run("feed", *options, data=data)
        return done, json.loads(done.stdout.splitlines()[-1])

    def tail(self, topic, *options):
        """The lines that a look from the beginning prints."""
        done = self.run("tail", "--topic", topic, "--from", "earliest", *options)
        if done.returncode != 0:
            raise AssertionError(f"tail ended with {done.returncode}: {done.stderr}\n{self.log()}")
        return done.stdout.splitlines()

    def status(self):
        return json.loads(self.run("status", "--json").stdout)

    def topic(self, name):
        """What status says about a topic."""
        return next(topic for topic in self.status()["topics"] if topic["topic"] == name)
