"""Several faults within a time: each in a process of its own, so many at once, those first that take longest. Each gets a share of the time that
is left, by what it usually takes (SECONDS of its file), and ends its rounds when that is used up; one that ends late is ended."""
import json
import math
import os
import signal
import subprocess
import tempfile
import threading
import time

import guard

LATE_S = 90    # beyond its share, for what comes after a fault's rounds on a slow machine
GRACE_S = 15   # to end what it started, when it is told to end
GUARD = guard.Guard()


class Fault:
    """One that runs."""

    def __init__(self, name, argv, share, limit):
        self.name, self.share, self.began, self.late = name, share, time.monotonic(), False
        self.until, self.limit = self.began + share, limit
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        GUARD.watch(self.process.pid)
        self._text = []
        self._reader = threading.Thread(target=lambda: self._text.append(self.process.stdout.read()), daemon=True)
        self._reader.start()

    def has_ended(self):
        if self.process.poll() is None and time.monotonic() > self.limit:
            self.late = True
            self.end()
        return self.process.poll() is not None

    def end(self):
        """Told first, so that it ends and removes what it made; then killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                guard.kill_group(self.process.pid)
                self.process.wait()
        GUARD.forget(self.process.pid)

    def text(self):
        self._reader.join(GRACE_S)
        return "".join(self._text)


def remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


class Row(tuple):
    """Of the table: fault, rounds, seconds, share, verdict."""

    @property
    def passed(self):
        return self[-1] == "passed"


class Together:
    """command(name, seconds, folder): what runs that fault and reports into the folder. seconds: for all of it; infinite: as long as it takes."""

    def __init__(self, weights, command, jobs, seconds, folder=None):
        self.weights, self.command, self.jobs = weights, command, jobs
        self.end = time.monotonic() + seconds - GRACE_S
        self.waiting = sorted(weights, key=weights.get, reverse=True)
        self.running, self.rows = [], []
        self._own = None if folder else tempfile.TemporaryDirectory(prefix="sl-reports-")
        self.folder = folder or self._own.name

    def run(self):
        """Whether all passed."""
        try:
            while self.waiting or self.running:
                self._start()
                self._collect()
                time.sleep(0.1)
        finally:
            for fault in self.running:
                fault.end()
        return all(row.passed for row in self.rows)

    def _share(self):
        """Of the one that comes next: of all that is left of the time, less what is promised to others."""
        if math.isinf(self.end):
            return math.inf
        now = time.monotonic()
        left = self.jobs * (self.end - now) - sum(max(fault.until - now, 0) for fault in self.running)
        mine = self.weights[self.waiting[0]]
        return min(left * mine / sum(self.weights[name] for name in self.waiting), self.end - now)

    def _start(self):
        while self.waiting and len(self.running) < self.jobs:
            share = self._share()
            name = self.waiting.pop(0)
            if share < 1:
                self.rows.append(Row((name, "-", "-", "-", "NOT RUN: no time was left")))
                continue
            remove(self._report(name))
            limit = min(time.monotonic() + share + max(share, LATE_S), self.end)
            self.running.append(Fault(name, self.command(name, share, self.folder), share, limit))

    def _collect(self):
        for fault in [fault for fault in self.running if fault.has_ended()]:
            self.running.remove(fault)
            fault.end()
            print(fault.text(), end="", flush=True)
            self.rows.append(self._row(fault))

    def _report(self, name):
        return os.path.join(self.folder, name + ".json")

    def _row(self, fault):
        took, share = f"{time.monotonic() - fault.began:.0f}", f"{fault.share:.0f}"
        if fault.late:
            return Row((fault.name, "-", took, share, f"ENDED: it took longer than {fault.limit - fault.began:.0f} s"))
        try:
            with open(self._report(fault.name), encoding="utf-8") as file:
                report = json.load(file)
        except (OSError, ValueError):
            return Row((fault.name, "-", took, share, f"NO REPORT: exit code {fault.process.returncode}"))
        passed = report["passed"] and fault.process.returncode == 0
        return Row((fault.name, f"{report['done']} of {report['rounds']}", took, share, "passed" if passed else "FAILED"))

    def table(self):
        lines = [("fault", "rounds", "seconds", "share", "verdict")] + sorted(self.rows, key=lambda row: (row[0][0], int(row[0][1:])))
        return "\n".join(f"{name:5} {rounds:>14} {took:>8} {share:>6}  {verdict}" for name, rounds, took, share, verdict in lines)
