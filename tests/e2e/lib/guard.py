"""Ends what a test started when the test is ended itself, however that comes: a process beside it is told of each process group, and kills
those that are left when it hears no more."""
import os
import signal
import subprocess
import sys
import threading


class Guard:
    """Begins with the first group. Its pipe closes when this process ends, killed or not."""

    def __init__(self):
        self._lock, self._process = threading.Lock(), None

    def watch(self, group):
        self._tell(f"+{group}\n")

    def forget(self, group):
        self._tell(f"-{group}\n")

    def _tell(self, line):
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen([sys.executable, "-S", __file__], stdin=subprocess.PIPE, start_new_session=True, stdout=subprocess.DEVNULL,
                                                 stderr=subprocess.DEVNULL, text=True)
            self._process.stdin.write(line)
            self._process.stdin.flush()


def kill_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def main():
    groups = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        kill_group(group)


if __name__ == "__main__":
    main()
