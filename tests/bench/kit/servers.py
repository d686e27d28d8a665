"""What stands between the processes of a case: each in a folder of its own, on a free loopback
port, ended by its process when the case has."""
import json
import os
import re
import signal
import socket
import subprocess
import tempfile

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

    def command(self, folder):
        raise NotImplementedError

    def hear(self, line):
        """Whether the line says that it is ready."""
        raise NotImplementedError

    def __enter__(self):
        self.address = None
        self._folder = tempfile.TemporaryDirectory(prefix="capstan-bench-")
        output, errors = self.says
        self._process = subprocess.Popen(
            self.command(self._folder.name), cwd=self._folder.name, stdin=subprocess.DEVNULL,
            stdout=output, stderr=errors, encoding="utf-8", start_new_session=True,
            preexec_fn=take_priority)
        if any(self.hear(line) for line in self._process.stdout or self._process.stderr):
            return self
        self.__exit__()
        raise Failed(f"{type(self).__name__} ended before it was ready")

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate()
        self._folder.cleanup()

    def cpu_s(self):
        with open(f"/proc/{self._process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_peak(self):
        with open(f"/proc/{self._process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) * 1024


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
