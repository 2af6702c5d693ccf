#!/usr/bin/python3
"""What the proxy costs, as a multiple of what a plain TCP relay costs in the same place.

    run.py DIRECTORY-OF-PROGRAMS [relay] [cpu] [latency] [requests] [logins] [memory]

prints all tables, or the ones that are named. The measure is processor time of the process in the
middle, not throughput: client and server of the benchmark sign and verify on the same processors.
Relay and proxy take turns, so that whatever else the machine does meets both; a ratio is that of two
neighbouring runs, and its median and spread are told.

BENCH_ROUNDS (7) and BENCH_MB (300, for each run) make it longer and steadier. Needs root, as the proxy
changes to its users; HAProxy is measured too where it is installed. A target that is missed is said
to be, and is no error: this is no test.
"""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../integration"))

# pylint: disable=wrong-import-position
from harness import can_connect, end_process, free_port, scratch_directory, wait_until
from proxy import Proxy, listener, upstream

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
MEGABYTES = int(os.environ.get("BENCH_MB", "300"))
USERS = {"bench": "Bench.Pw1"}
ADDRESS = "127.0.0.1"
KIB, MIB = 1024, 1024 * 1024
CONNECTIONS, DEPTH = 4, 8
IDLE_LINKS = 500

SIGNING = {"gmac": "aes-gmac", "cmac": "aes-cmac", "hmac": "hmac-sha256"}
TITLES = {"gmac": "AES-GMAC", "cmac": "AES-CMAC", "hmac": "HMAC-SHA256"}
# CPU per GB at 1 MiB, as a multiple of the relay's
TARGETS = {"gmac": 2.4, "cmac": 9.5, "hmac": 9.0, "128-gcm": 4.0}
RELAY_TARGET, LATENCY_TARGET, MEMORY_TARGET = 1.1, 1.5, 32.0
LEGS = [(signing, "none") for signing in SIGNING] + [
    ("gmac", cipher) for cipher in ("128-gcm", "256-gcm", "128-ccm", "256-ccm")]
SMALL_LEGS = LEGS[:4]


def title(signing, cipher):
    """What both legs do with each message."""
    return TITLES[signing] if cipher == "none" else "AES-" + cipher.upper()


def cpu_seconds(pids):
    """Processor time that these processes have used, to the nanosecond (CPUCLOCK_SCHED)."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


class Program:
    """One of the benchmark's programs that listens; a context manager."""

    def __init__(self, command, address, port):
        self.command, self.address, self.port = command, address, port
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        wait_until(lambda: self.process.poll() is not None or can_connect(self.address, self.port),
                   f"{self.command[0]} to listen")
        assert self.process.poll() is None, f"{self.command[0]} has ended"
        return self

    def __exit__(self, *_):
        end_process(self.process)

    def pids(self):
        """Those whose processor time counts."""
        return [self.process.pid]


HAPROXY = """global
    nbthread 1
    tune.bufsize 262144
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen bench
    bind {address}:{port}
    server bench {to.address}:{to.port}
"""


class Bench:
    """The server, a way to start what stands before it, and the load."""

    def __init__(self, programs, directory):
        self.programs, self.directory = programs, directory
        self.server = self.program("server")

    def program(self, name, to=None):
        """A listening program on a port of its own."""
        port = free_port(ADDRESS)
        more = [to.address, str(to.port)] if to else []
        return Program([os.path.join(self.programs, name), ADDRESS, str(port), *more], ADDRESS, port)

    def haproxy(self):
        """HAProxy in TCP mode before the server."""
        port, path = free_port(ADDRESS), os.path.join(self.directory, "haproxy.cfg")
        with open(path, "w", encoding="ascii") as file:
            file.write(HAPROXY.format(address=ADDRESS, port=port, to=self.server))
        return Program(["haproxy", "-db", "-q", "-f", path], ADDRESS, port)

    def proxy(self, signing, cipher):
        """Countersign with one worker and only these algorithms, on both legs."""
        options = {"signing": [SIGNING[signing]], "encryption": "off"}
        if cipher != "none":
            options.update(encryption="required", ciphers=["aes-" + cipher])
        return Proxy([listener(address=ADDRESS, names=["bench"], **options)],
                     [upstream(self.server, **options)], users=USERS)

    def load(self, to, legs, *arguments):
        """Runs one load to its end; what it said."""
        done = subprocess.run(
            [os.path.join(self.programs, "load"), to[0], str(to[1]), *legs, *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=600, check=True)
        return json.loads(done.stdout)

    def cpu_per_gb(self, middle, legs, size):
        """Processor seconds of what is in the middle for each GB that it carries."""
        to, pids = middle
        before = cpu_seconds(pids())
        done = self.load(to, legs, "transfer", "mixed", CONNECTIONS, DEPTH, size, MEGABYTES * 10**6)
        return (cpu_seconds(pids()) - before) / done["bytes"] * 1e9


def middle_of(running):
    """Where clients of a running program or proxy connect to, and whose time counts."""
    if isinstance(running, Proxy):
        entry = running.listeners[0]
        return (entry["address"], entry["port"]), lambda: running.children("worker")
    return (running.address, running.port), running.pids


def alternate(measure, *middles, rounds=ROUNDS):
    """One list of results for each of the middles, which take turns; the first turn of each is for
    warming up."""
    results = [[] for _ in middles]
    for turn in range(rounds + 1):
        for result, middle in zip(results, middles):
            value = measure(middle)
            if turn:
                result.append(value)
    return results


def spread(values, digits=2):
    """Median and range."""
    return (f"{statistics.median(values):.{digits}f} "
            f"({min(values):.{digits}f} to {max(values):.{digits}f})")


def verdict(value, target):
    """For the last column."""
    return "" if target is None else f"{target:g}: " + ("met" if value <= target else "MISSED")


def table(head, rows):
    """In Markdown, with columns that line up."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    for line in lines:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")
    print(flush=True)


def ratios(above, below):
    """Of neighbouring runs."""
    return [a / b for a, b in zip(above, below)]


def measure_cpu(bench):
    """Processor time per GB for all algorithms and two sizes."""
    rows = []
    with bench.program("relay", bench.server) as relay:
        for legs in LEGS:
            with bench.proxy(*legs) as proxy:
                for size in (MIB, 64 * KIB):
                    plain, ours = alternate(lambda middle: bench.cpu_per_gb(middle, legs, size),
                                            middle_of(relay), middle_of(proxy))
                    ratio = ratios(ours, plain)
                    target = TARGETS.get(legs[0] if legs[1] == "none" else legs[1])
                    rows.append([title(*legs), f"{size // KIB} KiB",
                                 f"{statistics.median(plain):.3f}", f"{statistics.median(ours):.3f}",
                                 spread(ratio), verdict(statistics.median(ratio),
                                                        target if size == MIB else None)])
    print(f"CPU seconds per GB, half of it read and half written ({CONNECTIONS} connections, "
          f"{DEPTH} requests each under way)\n")
    table(["both legs", "messages", "relay", "proxy", "proxy / relay", "target"], rows)


def measure_relay(bench):
    """How good a relay the benchmark's own is, and what two runs of the same thing differ by. The limit
    is close to what there is: a median of few rounds lies on either side of it by chance."""
    rows = []
    legs = ("gmac", "none")
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(bench.program("relay", bench.server)) for _ in range(2)]
        if shutil.which("haproxy"):
            running.append(stack.enter_context(bench.haproxy()))
        for size in (MIB, 64 * KIB):
            plain, again, *other = alternate(lambda middle: bench.cpu_per_gb(middle, legs, size),
                                             *map(middle_of, running), rounds=3 * ROUNDS)
            row = [f"{size // KIB} KiB", f"{statistics.median(plain):.3f}",
                   spread(ratios(again, plain)), "not installed", "", ""]
            if other:
                ratio = ratios(plain, other[0])
                row[3:] = [f"{statistics.median(other[0]):.3f}", spread(ratio),
                           verdict(statistics.median(ratio), RELAY_TARGET)]
            rows.append(row)
    print("CPU seconds per GB of the plain relay, of the same once more, and of HAProxy (mode tcp, "
          "tune.bufsize 262144)\n")
    table(["messages", "relay", "relay / relay", "HAProxy", "relay / HAProxy", "target"], rows)


@contextlib.contextmanager
def on_one_processor(pids):
    """Keeps these processes, and what is started meanwhile, on one processor: waking another one
    takes longer than all that is done with a small request, and not always equally long."""
    everywhere = os.sched_getaffinity(0)
    for pid in (0, *pids):
        os.sched_setaffinity(pid, {max(everywhere)})
    try:
        yield
    finally:
        for pid in (0, *pids):
            os.sched_setaffinity(pid, everywhere)


def latency_row(legs, name, direct, plain, ours):
    """The median or the 99th percentile of each run."""
    by_relay = [b[name] - a[name] for a, b in zip(direct, plain)]
    by_proxy = [b[name] - a[name] for a, b in zip(direct, ours)]
    ratio = statistics.median(by_proxy) / statistics.median(by_relay)
    return [title(*legs), name[:3], f"{statistics.median(each[name] for each in direct):.1f}",
            spread(by_relay, 1), spread(by_proxy, 1), f"{ratio:.2f}",
            verdict(ratio, LATENCY_TARGET if name == "p50_us" else None)]


def measure_latency(bench):
    """What is added to the time that one small request takes, one at a time."""
    rows = []
    with on_one_processor(bench.server.pids()), bench.program("relay", bench.server) as relay:
        for legs in SMALL_LEGS:
            with bench.proxy(*legs) as proxy:
                times = alternate(lambda middle: bench.load(middle[0], legs, "latency", 2000),
                                  middle_of(bench.server), middle_of(relay), middle_of(proxy),
                                  rounds=3 * ROUNDS)
            rows += [latency_row(legs, name, *times) for name in ("p50_us", "p99_us")]
    print("Latency of a request of 200 bytes in microseconds, one at a time, all on one processor\n")
    table(["both legs", "", "direct", "relay adds", "proxy adds", "proxy / relay", "target"], rows)


def rate(bench, running, legs, *arguments):
    """Requests a second, and processor time of all processes in the middle for each, in µs."""
    to, _ = middle_of(running)
    pids = running.children() if isinstance(running, Proxy) else running.pids()
    before = cpu_seconds(pids)
    done = bench.load(to, legs, *arguments)
    return done["requests"] / done["seconds"], (cpu_seconds(pids) - before) / done["requests"] * 1e6


def measure_rate(bench, what, arguments):
    """Requests or logins a second."""
    rows = []
    with bench.program("relay", bench.server) as relay:
        for legs in SMALL_LEGS:
            with bench.proxy(*legs) as proxy:
                plain, ours = alternate(lambda middle: rate(bench, middle, legs, *arguments), relay,
                                        proxy)
            rows.append([title(*legs), spread([each[0] for each in plain], 0),
                         spread([each[0] for each in ours], 0),
                         f"{statistics.median(each[1] for each in plain):.1f}",
                         f"{statistics.median(each[1] for each in ours):.1f}"])
    print(f"{what}\n")
    table(["both legs", "relay, a second", "proxy, a second", "relay, CPU µs for each",
           "proxy, CPU µs for each"], rows)


def measure_requests(bench):
    """Pipelined requests of 200 bytes."""
    measure_rate(bench, "Requests of 200 bytes, 4 connections with 32 under way",
                 ("requests", 4, 32, 100000))


def measure_logins(bench):
    """SESSION_SETUP and LOGOFF, over and over; the proxy logs in twice and asks its keeper."""
    measure_rate(bench, "Logins (NTLMv2, each with its LOGOFF), 4 connections",
                 ("logins", 4, 2000))


def memory(pid):
    """Pss and private dirty memory of a process, in KiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file.readlines()[1:])
    return [int(lines[name].split()[0]) for name in ("Pss", "Private_Dirty")]


def idle_memory(bench, legs):
    """What each idle authenticated link adds to a fresh worker, in KiB."""
    with bench.proxy(*legs) as proxy:
        (address, port), pids = middle_of(proxy)
        bench.load((address, port), legs, "logins", 1, 1)
        worker, = pids()
        before = memory(worker)
        load = subprocess.Popen(
            [os.path.join(bench.programs, "load"), address, str(port), *legs, "idle",
             str(IDLE_LINKS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            said = load.stdout.readline()
            after = memory(worker)
        finally:
            load.communicate()
        assert load.returncode == 0 and said, "the links did not come up"
    return [(a - b) / IDLE_LINKS for a, b in zip(after, before)]


def measure_memory(bench):
    """Memory of idle links."""
    rows = []
    for legs in (*SMALL_LEGS, ("cmac", "256-ccm")):
        results = [idle_memory(bench, legs) for _ in range(3)]
        pss, dirty = ([result[i] for result in results] for i in range(2))
        name = TITLES[legs[0]] + (", " + title(*legs) if legs[1] != "none" else "")
        rows.append([name, spread(pss, 1), spread(dirty, 1),
                     verdict(statistics.median(pss), MEMORY_TARGET)])
    print(f"Memory of the worker for each idle link with a session, a share and an open file, in KiB "
          f"({IDLE_LINKS} links)\n")
    table(["both legs", "Pss", "private dirty", "target"], rows)


TABLES = {"relay": measure_relay, "cpu": measure_cpu, "latency": measure_latency,
          "requests": measure_requests, "logins": measure_logins, "memory": measure_memory}


def main():
    """Prints the tables."""
    programs, *wanted = sys.argv[1:] or [""]
    unknown = [name for name in wanted if name not in TABLES]
    if unknown or not os.path.isfile(os.path.join(programs, "load")):
        sys.exit(__doc__)
    with scratch_directory("bench") as directory:
        bench = Bench(programs, directory)
        with bench.server:
            for name in wanted or TABLES:
                TABLES[name](bench)


if __name__ == "__main__":
    main()
