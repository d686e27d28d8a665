"""What stands between the processes of a case: each in a folder of its own, on a free loopback
port, ended by its process when the case has."""
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

PRIORITY = -10  # for all sides alike, where the system grants it


class Failed(Exception):
    """A program that failed, hung, or printed no figures."""


def take_priority():
    """In the child: runs before what else the machine does. Its session is a scheduling group of
    its own, which has a priority too."""
    try:
        os.nice(PRIORITY)
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(PRIORITY))
    except OSError:
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A side says with which command it starts in a folder, and which lines say where it listens
    and that it is ready. `address` is what its clients take as their first argument."""
    says = subprocess.PIPE, subprocess.DEVNULL  # its output and errors; one of them is read
    start = staticmethod(take_priority)  # in its process, before it runs

    def command(self, folder):
        raise NotImplementedError

    def hear(self, line):
        """Whether the line says that it is ready."""
        raise NotImplementedError

    def wait(self):
        """Until it is ready; False: it has ended."""
        return any(self.hear(line) for line in self._process.stdout or self._process.stderr)

    def __enter__(self):
        self.address = None
        self._folder = tempfile.TemporaryDirectory(prefix="capstan-bench-")
        output, errors = self.says
        self._process = subprocess.Popen(
            self.command(self._folder.name), cwd=self._folder.name, stdin=subprocess.DEVNULL,
            stdout=output, stderr=errors, encoding="utf-8", start_new_session=True,
            preexec_fn=self.start)
        if self.wait():
            return self
        self.__exit__()
        raise Failed(f"{type(self).__name__} ended before it was ready")

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate()
        self._folder.cleanup()

    def _processes(self):
        """Its process and, where it starts others, those: all of its session."""
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.getsid(int(name)) == self._process.pid:
                    yield name
            except ProcessLookupError:
                pass

    def cpu_s(self):
        ticks = 0
        for pid in self._processes():
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(") ", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_peak(self):
        peak = 0
        for pid in self._processes():
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                peak += int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) * 1024
        return peak


class NatsServer(Server):
    says = subprocess.DEVNULL, subprocess.PIPE
    options = ()

    def command(self, folder):
        return ["nats-server", "--addr", "127.0.0.1", "--port", "-1", *self.options]

    def hear(self, line):
        listening = re.search(r"client connections on 127\.0\.0\.1:(\d+)", line)
        self.address = listening.group(1) if listening else self.address
        return "Server is ready" in line


class JetStream(NatsServer):
    options = ("--jetstream", "--store_dir", ".")


class Redis(Server):
    def command(self, folder):
        self.address = str(free_port())
        return ["redis-server", "--bind", "127.0.0.1", "--port", self.address, "--dir", folder,
                "--save", "", "--appendonly", "yes", "--appendfsync", "always"]

    def hear(self, line):
        return "Ready to accept connections" in line


class CapstanNode(Server):
    def __init__(self, program):
        self._program = program

    def command(self, folder):
        return [self._program, "node", "--set", "gateway.endpoint=tcp://127.0.0.1:0",
                "--set", f"store.path={folder}/capstan.db"]

    def hear(self, line):
        self.address = json.loads(line)["gateway"]
        return True


POSTGRES = "/usr/lib/postgresql/15/bin"


def become_nobody_special():
    """In the child: PostgreSQL refuses to run as root."""
    take_priority()
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)


class Postgres(Server):
    """`address` is the URL of a database that does not exist yet."""
    says = subprocess.DEVNULL, subprocess.PIPE
    start = staticmethod(become_nobody_special)

    def command(self, folder):
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        subprocess.run([f"{POSTGRES}/initdb", "--auth=trust", "--username=bench", "-D", "data"],
                       cwd=folder, check=True, stdout=subprocess.DEVNULL,
                       preexec_fn=become_nobody_special)
        port = free_port()
        self.address = f"postgresql://bench@127.0.0.1:{port}/saga"
        return [f"{POSTGRES}/postgres", "-D", "data", "-p", str(port), "-k", folder,
                "-c", "listen_addresses=127.0.0.1"]

    def hear(self, line):
        return "ready to accept connections" in line


class Restate(Server):
    """`address` is the ports of its ingress and of its administration."""
    says = subprocess.DEVNULL, subprocess.DEVNULL

    def __init__(self, modules):
        self._program = os.path.join(
            modules, "@restatedev/restate-server-linux-x64/bin/restate-server")

    def command(self, folder):
        ports = [free_port() for _ in range(3)]
        self.address = f"{ports[0]},{ports[1]}"
        return ["env", f"RESTATE_INGRESS__BIND_ADDRESS=127.0.0.1:{ports[0]}",
                f"RESTATE_ADMIN__BIND_ADDRESS=127.0.0.1:{ports[1]}",
                f"RESTATE_BIND_ADDRESS=127.0.0.1:{ports[2]}",
                f"RESTATE_ADVERTISED_ADDRESS=http://127.0.0.1:{ports[2]}",
                "RESTATE_DISABLE_TELEMETRY=true", "RESTATE_LOG_FORMAT=json",
                self._program, "--node-name", "bench", "--base-dir", folder]

    def wait(self):
        """Its words change between versions; its ports answer when it is ready."""
        ingress, admin = self.address.split(",")
        while self._process.poll() is None:
            if answers(f"http://127.0.0.1:{ingress}/restate/health") and \
                    answers(f"http://127.0.0.1:{admin}/health"):
                return True
            time.sleep(0.1)
        return False


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False
