"""tap.py: what was seen, as TAP lines, counted; those of another process may be taken over."""
import re
import sys


class Tap:
    def __init__(self):
        self.count = self.bad = 0

    def ok(self, good, name, detail=""):
        self.count += 1
        self.bad += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}")
        if not good:
            for line in str(detail).splitlines()[-20:]:
                print(f"# {line}")
        sys.stdout.flush()
        return good

    def adopt(self, text, status):
        """The lines of another process that ended with that status, under our numbers."""
        failed = False
        for line in text.splitlines():
            found = re.match(r"(ok|not ok) \d+ - (.*)", line)
            if found:
                self.count += 1
                self.bad += found.group(1) != "ok"
                failed |= found.group(1) != "ok"
                print(f"{found.group(1)} {self.count} - {found.group(2)}")
            elif not re.match(r"1\.\.\d+$", line):
                print(line)
        if not re.search(r"^1\.\.[1-9]", text, re.M) or (status != 0 and not failed):
            self.ok(False, "the steps beside these end as they should", f"status {status}")
        sys.stdout.flush()

    def plan(self):
        print(f"1..{self.count}")
        sys.stdout.flush()


tap = Tap()
