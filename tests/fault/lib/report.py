"""What a run did, what it counted and what it found: as text for people, as JSON beside."""
import json
import os
import time

SHOWN = 20  # violations of each promise in the text


class Report:
    def __init__(self, fault, rounds, seed):
        self.fault, self.rounds, self.seed = fault, rounds, seed
        self.started = time.monotonic()
        self.notes, self.counts, self.violations, self.judged = [], {}, {}, set()
        self.seconds, self.done = 0, None  # done: of the rounds, when a share of time ended them

    def note(self, text):
        self.notes.append(text)

    def did(self, rounds):
        """What is done in several parts is done as often as in that with the fewest rounds."""
        self.done = rounds if self.done is None else min(self.done, rounds)

    def count(self, what, number=1):
        self.counts[what] = self.counts.get(what, 0) + number

    def found(self, promise, text):
        self.violations.setdefault(promise, []).append(text)

    def judge(self, verdicts):
        """{promise: [violations]} of the oracles."""
        for promise, wrong in verdicts.items():
            self.judged.add(promise)
            for text in wrong:
                self.found(promise, text)

    def require(self, condition, promise, text):
        """A check of the fault itself."""
        self.judged.add(promise)
        if not condition:
            self.found(promise, text)

    @property
    def rounds_done(self):
        return self.rounds if self.done is None else self.done

    @property
    def passed(self):
        return not any(self.violations.values())

    def text(self):
        rounds = f"{self.rounds} rounds" if self.rounds_done == self.rounds else f"{self.done} of {self.rounds} rounds"
        lines = [f"{self.fault}: {'passed' if self.passed else 'FAILED'}, {rounds}, seed {self.seed}, {self.seconds:.1f} s"]
        lines += ["  " + note for note in self.notes]
        lines += [f"  {number:>9} {what}" for what, number in self.counts.items()]
        for promise in sorted(self.judged | self.violations.keys()):
            wrong = self.violations.get(promise, [])
            lines.append(f"  {promise}: {'held' if not wrong else f'{len(wrong)} violations'}")
            lines += ["      " + text for text in wrong[:SHOWN]]
        if not self.passed:
            lines.append(f"  again: tests/fault/run {self.fault} --rounds {self.rounds} --seed {self.seed}")
        return "\n".join(lines)

    def write(self, folder):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, self.fault + ".txt"), "w", encoding="utf-8") as file:
            file.write(self.text() + "\n")
        with open(os.path.join(folder, self.fault + ".json"), "w", encoding="utf-8") as file:
            json.dump({"fault": self.fault, "passed": self.passed, "rounds": self.rounds, "done": self.rounds_done, "seed": self.seed, "seconds": round(self.seconds, 1),
                       "notes": self.notes, "counts": self.counts, "judged": sorted(self.judged), "violations": self.violations}, file, indent=1)
