"""A network of a test's own, between it and a server: see proxy/proxy."""
import pathlib
import subprocess

PROXY = pathlib.Path(__file__).parent / "proxy" / "proxy"
END_S = 60


class RealProxy:
    """`port` is where clients connect to."""

    def __init__(self, target):
        self.process = subprocess.Popen([PROXY, str(target)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(END_S)
        self.process.stdout.close()

    def do(self, command):
        """What it answers: the command itself, or that it is not understood."""
        self.process.stdin.write(command + "\n")
        return self.process.stdout.readline().strip()
