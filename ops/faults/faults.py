#!/usr/bin/env python3
"""Breaks real processes and counts what it costs: brokers, workers, a trainer and a generator of load, killed, stopped, cut off and starved of disk.

    ops/faults/faults.py --seconds 180 --json out/faults/report.json
    ops/faults/faults.py --faults 1000 --jobs 100000        until both are reached

Every job is kept by the generator before it is sent and every verified result before it is acknowledged (`collafuse loadtest --job-log`), over however many
of its lives. The report is counted from that file alone; after a power loss the journals are held against it too. Ends with 1 if a job was lost,
surfaced twice or answered wrongly, or if a journal was damaged or had forgotten a job.
"""

import argparse
import base64
import glob
import heapq
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import power

HERE = Path(__file__).resolve().parent
FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
LEASE = 4  # seconds
BROKERS, WORKERS = 2, 4
HOSTS = {"b1": "10.77.0.11", "b2": "10.77.0.12", "w1": "10.77.0.21", "w2": "10.77.0.22", "c1": "10.77.0.31"}


class Network:
    """Hosts as network namespaces behind a switch of our own, or none: then all is on 127.0.0.1."""

    def __init__(self, folder):
        self.prefix = f"cf{os.getpid()}-"
        self.switch, self.why_not = None, None
        if os.geteuid() != 0:
            self.why_not = "needs root"
        elif not shutil.which("ip") or not os.path.exists("/dev/net/tun"):
            self.why_not = "needs iproute2 and /dev/net/tun"
        if self.why_not:
            return
        made = [subprocess.run(["ip", "netns", "add", self.prefix + name], capture_output=True) for name in HOSTS]
        if any(result.returncode for result in made):
            self.why_not = "the system makes no network namespaces: " + made[0].stderr.decode().strip()
            return self.close()
        words = [sys.executable, str(HERE / "switch.py"), self.prefix] + [f"{n}={a}" for n, a in HOSTS.items()]
        self.switch = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(folder / "switch.log", "w"), text=True)
        if self.switch.stdout.readline().strip() != "ready":
            self.why_not = f"the switch does not start: see {folder}/switch.log"
            self.close()
            self.switch = None

    def address(self, host):
        return HOSTS[host] if self.switch else "127.0.0.1"

    def inside(self, host):
        # A program before it in either case: libfaketime adds a variable at the first, and Swift finds no arguments beside an environment that moved.
        return ["ip", "netns", "exec", self.prefix + host] if self.switch else ["/usr/bin/env"]

    def say(self, line):
        if self.switch:
            self.switch.stdin.write(line + "\n")
            self.switch.stdin.flush()

    def close(self):
        if self.switch:
            self.switch.stdin.close()
            self.switch.wait(10)
        for name in HOSTS:
            subprocess.run(["ip", "netns", "del", self.prefix + name], capture_output=True)


class Program:
    """One process that is started again whenever it ends."""

    def __init__(self, name, host, arguments, folder, environment=None):
        self.name, self.host, self.arguments = name, host, arguments
        self.log = open(folder / f"{name}.log", "a")
        self.environment = {**os.environ, **(environment or {})}
        self.process, self.starts, self.due, self.is_stopped = None, 0, 0.0, False

    def start(self, network):
        words = network.inside(self.host) + [str(word) for word in self.arguments()]
        self.process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=self.environment)
        self.starts += 1
        self.due = 0.0

    def is_up(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        if self.is_up():
            self.process.send_signal(number)
            self.is_stopped = number == signal.SIGSTOP
            return True
        return False


class Ledger:
    """What the generator's file says of each job."""

    def __init__(self):
        self.read = 0
        self.sent, self.accepted = set(), set()
        self.right, self.wrong, self.ended = Counter(), Counter(), Counter()

    def hear(self, words):
        if len(words) < 2:
            return
        verb, job = words[0], words[1]
        if verb == b"job" and len(words) == 10:
            self.sent.add(job)
        elif verb == b"accepted":
            self.accepted.add(job)
        elif verb == b"surfaced" and len(words) == 3:
            (self.right if words[2] == b"right" else self.wrong)[job] += 1
        elif verb == b"ended" and len(words) == 3:
            self.ended[words[2].decode()] += 1

    def unsurfaced(self):
        return self.accepted - set(self.right) - set(self.wrong)

    def counts(self):
        surfaced = set(self.right) | set(self.wrong)
        return {
            "jobs": len(self.sent), "accepted": len(self.accepted), "surfaced": len(surfaced),
            "lost": len(self.accepted - surfaced), "unfinished": len(self.sent - surfaced),
            "surfaced twice": sum(1 for job in surfaced if self.right[job] + self.wrong[job] > 1),
            "wrong": sum(self.wrong.values()), "ended without a result on the way": dict(self.ended)}


class Fleet:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.random = random.Random(options.seed)
        self.powerloss, self.why_no_powerloss = power.build(folder)
        if self.powerloss:
            failures = power.self_check(self.powerloss, folder / "power")
            if failures:
                sys.exit("power losses are not what they should be:\n" + "\n".join(failures))
        self.network = Network(folder)
        self.counts, self.left_out = Counter(), {}
        self.tasks, self.busy, self.order = [], set(), 0
        self.keys, self.job_log, self.ledger = folder / "keys", folder / "jobs.log", Ledger()
        self.ends_at = None
        self.journals, self.forgotten = {}, set()
        # Of 4 KiB, so that publications and samples lie in the journals' segments, and the rest in rows.
        self.collafuse("loadtest", "keys", self.keys, "--clients", options.clients, "--workers", WORKERS, "--brokers", BROKERS, "--image", "1x32x32")
        self.programs = {}
        for number in range(1, BROKERS + 1):
            self.add_broker(number)
        for number in range(1, WORKERS + 1):
            # The first trains, the last does both.
            role = ["--role", "train"] if number == 1 else [] if number == WORKERS else ["--role", "denoise"]
            name = "trainer" if number == 1 else f"worker-{number}"
            self.add(name, f"w{1 + (number - 1) // 2}", ["worker", "--engine", "stub:5ms", "--slots", 8, *self.deployment(f"worker-{number}"), *role, *self.brokers(5611)])
        self.add("generator", "c1", self.generator)

    # What runs

    def collafuse(self, *words):
        return subprocess.run([self.options.collafuse, *map(str, words)], check=True, capture_output=True, text=True).stdout

    def add(self, name, host, words, environment=None):
        arguments = words if callable(words) else lambda: words
        self.programs[name] = Program(name, host, lambda: [self.options.collafuse, *arguments()], self.folder, environment)

    def deployment(self, kit):
        return ["--deployment", self.keys / "public", "--kit", self.keys / "nodes" / kit]

    def port(self, number, port):
        return port if self.network.switch else port + 1000 + 10 * number

    def brokers(self, port):
        words = []
        for number in range(1, BROKERS + 1):
            address = self.network.address(f"b{number}")
            words += ["--broker", f"broker-{number}@tcp://{address}:{self.port(number, port)}"]
        return words

    def add_broker(self, number):
        host, name = f"b{number}", f"broker-{number}"
        disk = self.folder / f"disk-{number}"
        disk.mkdir()
        if os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", disk], capture_output=True).returncode == 0:
            self.journals[name] = disk
        else:
            self.left_out["disk-full"] = "needs root, to mount a small tmpfs"
        environment = {}
        if FAKETIME:
            clock = self.folder / f"clock-{number}"
            clock.write_text("+0\n")
            environment = {
                "LD_PRELOAD": FAKETIME[0], "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1"}
        if self.powerloss:
            loss = power.environment(self.powerloss, disk, self.folder / f"unsynced-{number}", self.options.lies)
            loss["LD_PRELOAD"] = ":".join([*filter(None, [environment.get("LD_PRELOAD")]), loss["LD_PRELOAD"]])
            environment.update(loss)
        address = self.network.address(host)
        listens = [f"tcp://{address}:{self.port(number, port)}" for port in (5610, 5611)]
        self.add(name, host, ["broker", *self.deployment(name), "--clients", listens[0], "--workers", listens[1], "--journal", f"sqlite:{disk}/journal.sqlite", "--lease", LEASE, "--drain-limit", 8], environment)

    def generator(self):
        left = max(1, round(self.ends_at - time.monotonic())) if self.ends_at else 1
        rate = self.options.rate if self.ends_at else 0
        return ["loadtest", "--keys", self.keys, *self.brokers(5610), "--clients", self.options.clients, "--stage", f"{left}s@{rate}", "--publish", 0.3, "--timeout", "600s", "--drain", "60s", "--job-log", self.job_log]

    # Time

    def later(self, seconds, action, busy=None):
        """Does something after a while; until then `busy` is left alone."""
        self.order += 1
        if busy:
            self.busy.add(busy)
        heapq.heappush(self.tasks, (time.monotonic() + seconds, self.order, action, busy))

    def tick(self):
        now = time.monotonic()
        while self.tasks and self.tasks[0][0] <= now:
            _, _, action, busy = heapq.heappop(self.tasks)
            self.busy.discard(busy)
            action()
        for program in self.programs.values():
            if program.is_up():
                continue
            if program.due == 0.0:
                program.due = now + self.random.uniform(0.1, 2.0)
            elif program.due <= now:
                program.start(self.network)
        time.sleep(0.02)

    # Faults

    def pick(self, *beginnings):
        """A program that runs and to which nothing is being done."""
        able = [p for p in self.programs.values() if p.name.startswith(beginnings) and p.is_up() and p.name not in self.busy and not p.is_stopped]
        return self.random.choice(able) if able else None

    def send(self, number, *beginnings):
        program = self.pick(*beginnings)
        return program is not None and program.signal(number)

    def stop(self, low, high, *beginnings):
        program = self.pick(*beginnings)
        if program is None or not program.signal(signal.SIGSTOP):
            return False
        self.later(self.random.uniform(low, high), lambda: program.signal(signal.SIGCONT), program.name)
        return True

    def impair(self, line, undo, low, high, hosts=tuple(HOSTS)):
        able = [host for host in hosts if host not in self.busy]
        if not able:
            return None
        host = self.random.choice(able)
        self.network.say(line.format(host))
        self.later(self.random.uniform(low, high), lambda: self.network.say(undo.format(host)), host)
        return host

    def half_open(self):
        """A host vanishes in mid-connection and comes back with a process that knows nothing of it."""
        host = self.impair("cut {}", "heal {}", 2, 6)
        if host is None:
            return False
        for program in self.programs.values():
            if program.host == host:
                program.signal(signal.SIGKILL)
        return True

    def fill_disk(self):
        able = [name for name in self.journals if f"disk of {name}" not in self.busy]
        if not able:
            return False
        name = self.random.choice(able)
        filler = self.journals[name] / "filler"
        try:
            with open(filler, "wb", buffering=0) as file:
                while file.write(bytes(1 << 16)):
                    pass
        except OSError:
            pass
        self.later(self.random.uniform(2, 6), lambda: filler.unlink(missing_ok=True), f"disk of {name}")
        return True

    def lose_power(self):
        program = self.pick("broker")
        if program is None:
            return False
        number = program.name.removeprefix("broker-")
        disk, notes = self.folder / f"disk-{number}", self.folder / f"unsynced-{number}"
        # With nothing to lose it is a kill like others.
        until = time.monotonic() + 0.2
        while time.monotonic() < until and not any(notes.iterdir()):
            time.sleep(0.0005)
        time.sleep(self.random.uniform(0, 0.008))
        program.signal(signal.SIGKILL)
        program.process.wait()
        told = power.lose(disk, notes, self.random)
        forgotten = self.find_forgotten()
        if forgotten is None:
            told.append("not held against the generator's file")
        else:
            self.forgotten |= forgotten
            told.append(f"forgotten: {len(forgotten)} {b' '.join(sorted(forgotten)).decode()}")
        with open(self.folder / "power.log", "a") as log:
            print(program.name, *told, sep="\n  ", file=log)
        return True

    def find_forgotten(self):
        """Accepted, not surfaced, and in no journal: its client would submit it again, and nobody would notice. None: that cannot be said now."""
        generator = self.programs["generator"]
        if not generator.is_up() or generator.is_stopped:
            return None
        self.count()
        left = self.ledger.unsurfaced()
        for number in range(1, BROKERS + 1):
            known = power.jobs(self.folder / f"disk-{number}" / "journal.sqlite", self.programs[f"broker-{number}"].is_up())
            if known is None:
                return None
            left -= {base64.b64encode(job) for job in known}
        # A result may leave before its job is stored, and counts as an ACCEPTED: the generator may be about to open it.
        until = time.monotonic() + 1
        while left and time.monotonic() < until:
            time.sleep(0.05)
            self.count()
            left &= self.ledger.unsurfaced()
        return left

    def damaged(self):
        """How often a broker said so when it was started."""
        return sum((self.folder / f"broker-{number}.log").read_bytes().count(b"is damaged: ") for number in range(1, BROKERS + 1))

    def jump(self):
        number = self.random.randint(1, BROKERS)
        (self.folder / f"clock-{number}").write_text(f"{self.random.randint(-30, 30):+d}\n")
        return True

    def faults(self):
        faults = {
            "kill broker": lambda: self.send(signal.SIGKILL, "broker"),
            "kill worker": lambda: self.send(signal.SIGKILL, "worker"),
            "kill trainer": lambda: self.send(signal.SIGKILL, "trainer"),
            "kill generator": lambda: self.send(signal.SIGKILL, "generator"),
            "restart broker": lambda: self.send(signal.SIGTERM, "broker"),
            "restart worker": lambda: self.send(signal.SIGTERM, "worker", "trainer"),
            "drain broker": lambda: self.send(signal.SIGUSR1, "broker"),
            "stop broker": lambda: self.stop(0.5, 10, "broker"),
            "stop worker past its lease": lambda: self.stop(LEASE + 1, LEASE + 5, "worker", "trainer"),
            "stop generator": lambda: self.stop(0.5, 4, "generator"),
        }
        network = {
            "partition": lambda: self.impair("cut {}", "heal {}", 0.5, 10) is not None,
            "delay of 200 ms": lambda: self.impair("delay {} 0.2", "delay {} 0", 2, 6) is not None,
            "loss of 1 %": lambda: self.impair("loss {} 0.01", "loss {} 0", 2, 6) is not None,
            "half-open connection": self.half_open,
        }
        if self.network.switch:
            faults.update(network)
        else:
            self.left_out.update({name: self.network.why_not for name in network})
        if self.journals:
            faults["disk full"] = self.fill_disk
        if self.powerloss:
            faults["power loss"] = self.lose_power
        else:
            self.left_out["power loss"] = self.why_no_powerloss
        if FAKETIME:
            faults["clock jump"] = self.jump
        else:
            self.left_out["clock jump"] = "needs libfaketime (Debian: apt-get install libfaketime)"
        wanted = self.options.kind or list(faults)
        unknown = [kind for kind in wanted if kind not in faults]
        if unknown:
            sys.exit(f"no fault here is called {', '.join(unknown)}; there are: {', '.join(sorted(faults))}")
        return {kind: faults[kind] for kind in wanted}

    # The run

    def run(self):
        options, faults = self.options, self.faults()
        for program in self.programs.values():
            if program.name.startswith("broker"):
                program.start(self.network)
        began = time.monotonic()
        self.ends_at = began + options.seconds
        self.later(3, lambda: None)
        next_fault = began + 5
        seen = 0
        while time.monotonic() < self.ends_at:
            self.tick()
            now = time.monotonic()
            if now >= next_fault and now < self.ends_at - 2:
                next_fault = now + self.random.expovariate(1 / options.gap)
                kind = self.random.choice(list(faults))
                if faults[kind]():
                    self.counts[kind] += 1
            if options.faults and sum(self.counts.values()) >= options.faults and now - seen > 5:
                seen = now
                if self.count()["jobs"] >= options.jobs:
                    break
        self.took = time.monotonic() - began
        return self.settle()

    def settle(self):
        """Mends everything and lets the generator bring what it has to an end; what was given up for too many kills is replayed, as an operator would."""
        self.ends_at = None
        while self.tasks:
            _, _, action, _ = heapq.heappop(self.tasks)
            action()
        self.busy = set()
        for host in HOSTS:
            for line in ("heal {}", "delay {} 0", "loss {} 0"):
                self.network.say(line.format(host))
        for program in self.programs.values():
            program.signal(signal.SIGCONT)
        generator = self.programs.pop("generator")
        generator.signal(signal.SIGKILL)
        if generator.process:
            generator.process.wait()
        replayed = 0
        for _ in range(6):
            generator.start(self.network)
            while generator.is_up():
                self.tick()
            counts = self.count()
            if counts["unfinished"] == 0:
                break
            replayed += self.replay()
        self.programs["generator"] = generator
        return {**self.count(), "forgotten": len(self.forgotten), "damaged": self.damaged(), "given up and replayed": replayed}

    def replay(self):
        brokers = [program for name, program in self.programs.items() if name.startswith("broker")]
        for program in brokers:
            program.signal(signal.SIGTERM)
            program.process.wait()
        count = 0
        for number in range(1, BROKERS + 1):
            journal = ["--journal", f"sqlite:{self.folder}/disk-{number}/journal.sqlite"]
            for line in self.collafuse("jobs", "list", *journal).splitlines():
                self.collafuse("jobs", "retry", line.split()[0], *journal)
                count += 1
        for program in brokers:
            program.start(self.network)
        return count

    def count(self):
        """From the generator's file alone; what was read before is not read again."""
        if self.job_log.exists():
            with open(self.job_log, "rb") as file:
                file.seek(self.ledger.read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self.ledger.read += len(line)
                    self.ledger.hear(line.split())
        return self.ledger.counts()

    def close(self):
        for program in self.programs.values():
            program.signal(signal.SIGCONT)
            program.signal(signal.SIGKILL)
            if program.process:
                program.process.wait()
        self.network.close()
        for disk in self.journals.values():
            subprocess.run(["umount", disk], capture_output=True)


def text(report):
    lines = [f"{report['faults']['all']} faults over {report['jobs']} jobs in {report['seconds']} s, seed {report['seed']}, hosts: {report['hosts']}"]
    lines += [f"  {count:6}  {kind}" for kind, count in sorted(report["faults"]["by kind"].items())]
    lines += [f"       -  {kind}: left out, {why}" for kind, why in sorted(report["left out"].items())]
    for name in ("accepted", "surfaced", "lost", "unfinished", "surfaced twice", "wrong", "forgotten", "damaged", "given up and replayed"):
        lines.append(f"{name:24} {report[name]}")
    lines.append("starts: " + ", ".join(f"{name} {count}" for name, count in report["starts"].items()))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collafuse", default=".build/release/collafuse")
    parser.add_argument("--seconds", type=float, default=180, help="how long things go wrong, at most")
    parser.add_argument("--faults", type=int, default=0, help="end once there were so many, and as many --jobs")
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--kind", action="append", help="only faults of this kind; may be given again")
    parser.add_argument("--lies", metavar="NAME", help="the brokers' disks sync no file with this in its name, and say that they did: a power loss must show then")
    parser.add_argument("--gap", type=float, default=1.0, help="seconds from one fault to the next, on average")
    parser.add_argument("--rate", type=float, default=60, help="jobs a second")
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", default="out/faults", help="is emptied")
    parser.add_argument("--json", help="where the report goes")
    options = parser.parse_args()
    options.collafuse = os.path.abspath(options.collafuse)
    folder = Path(options.folder).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fleet = Fleet(options, folder)
    try:
        counts = fleet.run()
    finally:
        fleet.close()
    report = {
        "faults": {"all": sum(fleet.counts.values()), "by kind": dict(fleet.counts)}, "left out": fleet.left_out,
        "seconds": round(fleet.took), "seed": options.seed,
        "hosts": "network namespaces behind a switch in user space" if fleet.network.switch else f"one; {fleet.network.why_not}",
        "starts": {name: program.starts for name, program in fleet.programs.items()}, **counts}
    print(text(report))
    if options.json:
        Path(options.json).parent.mkdir(parents=True, exist_ok=True)
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
    is_well = all(report[name] == 0 for name in ("lost", "unfinished", "surfaced twice", "wrong", "forgotten", "damaged")) and report["jobs"] > 0
    if options.faults and report["faults"]["all"] < options.faults or report["jobs"] < options.jobs:
        print("fewer faults or jobs than were asked for: give it more --seconds", file=sys.stderr)
        is_well = False
    sys.exit(0 if is_well else 1)


main()
