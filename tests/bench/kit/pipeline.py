"""A publisher's process, a server, a consumer's process: the same three on every side. Measured
from the first publish to the last event at the consumer; memory and processor time are those of
all three, of the clients with their start."""
import os
import subprocess
import threading

from servers import Failed, take_priority


class Client:
    """A process that prints a line when it is under way and perhaps one more at its end."""

    def __init__(self, command):
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, encoding="utf-8",
                                         stdout=subprocess.PIPE, start_new_session=True,
                                         preexec_fn=take_priority)

    def line(self):
        return self._process.stdout.readline().split()

    def kill(self):
        if self._process.returncode is None:
            self._process.kill()

    def finish(self):
        """What it used; Failed when it did. wait4 takes the return code from subprocess."""
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._process.stdout.close()
        if status:
            raise Failed(f"a client ended with {self._process.returncode}")
        return usage


def run_clients(publish, consume, seconds_max):
    """({figure: value}, seconds, usages)"""
    clients = [Client(consume)]
    watchdog = threading.Timer(seconds_max, lambda: [client.kill() for client in clients])
    watchdog.start()
    try:
        ready = clients[0].line()
        if ready:
            clients.append(Client(publish))
        begin = clients[-1].line() if ready else []
        end = clients[0].line()
        if not begin or len(end) != 4:
            raise Failed("a client did not do its part, or took too long")
        usages = [client.finish() for client in clients]
    finally:
        watchdog.cancel()
        for client in clients:
            client.kill()
    quantiles = dict(zip(("p50_us", "p99_us", "p999_us"), map(float, end[1:])))
    return quantiles, (int(end[0]) - int(begin[0])) / 1e9, usages


def run(server, publish, consume, sizes, seconds_max=120):
    """The figures of one run. `sizes`: events, batch; the commands take the address and these."""
    events, batch = sizes
    with server:
        idle_s = server.cpu_s()
        figures, seconds, usages = run_clients(
            [*publish, server.address, str(events), str(batch)],
            [*consume, server.address, str(events), "bench-consumer"], seconds_max)
        return {"ops": events, "seconds": seconds, "ops_per_s": events / seconds, **figures,
                "cpu_s": server.cpu_s() - idle_s +
                sum(usage.ru_utime + usage.ru_stime for usage in usages),
                "rss_bytes": server.rss_peak() + sum(usage.ru_maxrss * 1024 for usage in usages)}
