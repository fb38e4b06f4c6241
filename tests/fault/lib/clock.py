"""The wall clock of running programs, moved while they run (libfaketime). The monotonic one goes on as it was."""
import glob
import os

HOUR, DAY, YEARS = 3600, 86400, 3653 * 86400  # ten of them
SEEN_S = 2.5  # so soon a program has seen a move

LIBRARY = (glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1") or [None])[0]


class Clock:
    def __init__(self, path):
        assert LIBRARY, "libfaketime is not installed"
        self.path = path
        self.move(0)

    def move(self, seconds):
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write(f"{seconds:+d}\n")
        os.rename(self.path + ".new", self.path)

    def env(self):
        return {"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": self.path, "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "NO_FAKE_STAT": "1"}


def text(seconds):
    sign = "+" if seconds >= 0 else "-"
    return sign + {HOUR: "1 hour", 200 * DAY: "200 days", YEARS: "10 years"}[abs(seconds)]
