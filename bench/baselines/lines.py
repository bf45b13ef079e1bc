"""The line protocol of the peers: first a line of JSON with their versions; then, for each line "run N" on stdin, a line
with a JSON array of N times in milliseconds, a step each. The end of stdin ends the process."""

import json
import os
import sys


def serve(versions, run):
    """run(n) takes n steps and returns their milliseconds."""
    # Frameworks chat on stdout: from here on that is stderr, and the lines have a copy to themselves.
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(value):
        print(json.dumps(value), file=lines, flush=True)

    say(versions)
    for line in sys.stdin:
        command, _, count = line.strip().partition(" ")
        if command != "run":
            sys.exit(f"unknown command: {line.strip()}")
        say(run(int(count)))
