"""The programs of all sides: the packages they need, how they are built, started and bounded."""
import json
import os
import shutil
import signal
import subprocess
import sys

import pipeline
from servers import (CapstanNode, Failed, JetStream, NatsServer, Postgres, Redis, Restate,
                     take_priority)

RUN_S = 120  # a program that takes longer has failed
PACKAGES = {"caf": "libcaf-dev", "erlang": "erlang-base", "nats": "nats-server",
            "redis": "redis-server", "zmq": "libzmq3-dev",
            "hikaricp": "libhikaricp-java",
            "postgresql": "postgresql-15"}
NODE_SIDES = ("dbos", "restate")  # packages of npm
BENCHES = ("three_steps", "borrowers")  # which our own side runs by `capstan bench`
JARS = "/usr/share/java/HikariCP.jar:/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-nop.jar"
# What a side's program needs beside itself, started for each run.
SERVERS = {"nats": lambda programs: NatsServer(), "dbos": lambda programs: Postgres(),
           "restate": lambda programs: Restate(os.path.join(programs.npm, "node_modules"))}


def run(command, environment):
    """Runs a program to its end and returns the figures that it printed."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, encoding="utf-8",
                               start_new_session=True, preexec_fn=take_priority)
    try:
        output, errors = process.communicate(timeout=RUN_S)
    except BaseException as interrupted:  # also when this program is asked to end
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(interrupted, subprocess.TimeoutExpired):
            raise Failed(f"no end within {RUN_S} s") from None
        raise
    last_words = (errors.strip() or output.strip()).split("\n")[-1]
    if process.returncode != 0:
        raise Failed(f"status {process.returncode}: {last_words}")
    try:
        return json.loads(output)
    except json.JSONDecodeError:
        raise Failed(f"no figures: {last_words}") from None


class Programs:
    """What the comparison asks of the tree at `root`."""

    def __init__(self, root):
        self.root = root
        self.folder = os.path.join(root, "build/bench")
        self.npm = os.path.join(self.folder, "npm")
        self.java = os.path.join(self.folder, "java")

    def install(self):
        for packages in ("cmake/packages.txt", "tests/bench/packages.txt"):
            subprocess.run(["cmake/install-packages", packages], cwd=self.root, check=True,
                           stdout=sys.stderr)

    def build(self):
        cache = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"]
        for command in (["cmake", "--preset", "bench", *(cache if shutil.which("ccache") else [])],
                        ["cmake", "--build", "--preset", "bench", "--target", "bench_programs"]):
            done = subprocess.run(command, cwd=self.root, check=False, encoding="utf-8",
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode != 0:
                sys.exit(f"{done.stdout}\n'{' '.join(command)}' failed")

    def install_from_npm(self):
        """The programs that run under Node.js, and their packages beside them."""
        peers = os.path.join(self.root, "tests/bench/peers")
        shutil.copytree(peers, self.npm, dirs_exist_ok=True,
                        ignore=lambda folder, names: [
                            name for name in names if folder == peers and
                            name not in (*NODE_SIDES, "package.json", "saga.mjs")])
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"],
                       cwd=self.npm, check=True, stdout=sys.stderr)

    def build_java(self):
        os.makedirs(self.java, exist_ok=True)
        subprocess.run(["javac", "-cp", JARS, "-d", self.java,
                        os.path.join(self.root, "tests/bench/peers/hikaricp/Borrowers.java")],
                       check=True, stdout=sys.stderr)

    def command(self, side, program, arguments, options=()):
        built = os.path.join(self.folder, "tests/bench")
        numbers = [str(argument) for argument in arguments]
        if side == "capstan" and program in BENCHES:
            return [os.path.join(self.folder, "capstan"), "bench", program, *numbers]
        if side == "capstan":
            return [os.path.join(built, "runtime", program), *numbers]
        if side in NODE_SIDES:
            return ["node", os.path.join(self.npm, side, f"{program}.mjs"), *numbers]
        if side == "hikaricp":
            return ["java", "-cp", f"{self.java}:{JARS}", program.capitalize(), *numbers]
        if side == "erlang":
            return ["erl", "-noshell", "-noinput", "+P", "4000000", *options,
                    "-pa", os.path.join(built, "peers/erlang"), "-run", program, "main",
                    "-extra", *numbers]
        return [os.path.join(built, "peers", side, program), *numbers]

    def run(self, side, program, arguments, options, environment):
        """The figures of one run. A server's are in them; the program takes its address first."""
        if program in ("pipeline", "stream"):
            return self.run_pipeline(side, program, arguments)
        if side not in SERVERS:
            return run(self.command(side, program, arguments, options), environment)
        with SERVERS[side](self) as server:
            idle_s = server.cpu_s()
            figures = run(self.command(side, program, (server.address, *arguments)), environment)
            figures["cpu_s"] += server.cpu_s() - idle_s
            figures["rss_bytes"] += server.rss_peak()
            return figures

    def run_pipeline(self, side, program, sizes):
        if side == "capstan":
            ours = os.path.join(self.folder, "capstan")
            return pipeline.run(CapstanNode(ours), [ours, "bench", "publisher"],
                                [ours, "bench", "consumer"], sizes, RUN_S)
        theirs = self.command(side, program, ())
        return pipeline.run({"nats": JetStream, "redis": Redis}[side](), [*theirs, "publisher"],
                            [*theirs, "consumer"], sizes, RUN_S)

    def versions(self):
        """{side: version}"""
        versions = {"capstan": self._output("git", "describe", "--always", "--dirty") or "unknown"}
        for side, package in PACKAGES.items():
            versions[side] = self._output("dpkg-query", "-W", "-f", "${Version}", package)
        versions["gcc"] = self._output("gcc", "-dumpfullversion")
        versions["linux"] = os.uname().release
        return versions

    def _output(self, *command):
        return subprocess.run(command, cwd=self.root, check=False, encoding="utf-8",
                              stdout=subprocess.PIPE).stdout.strip()
