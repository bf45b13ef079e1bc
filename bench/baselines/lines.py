"""The line protocol of the Python baselines. They print a line of JSON with their versions and then, for each line "run N" on
stdin, a JSON array of N step times in milliseconds. The end of stdin ends the process."""

import json
import os
import sys


def serve(versions, run):
    """Answers commands; run(n) trains n steps and returns their milliseconds."""
    # Frameworks log to stdout, which therefore becomes stderr. The protocol keeps a copy of the real stdout.
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def send(value):
        print(json.dumps(value), file=lines, flush=True)

    send(versions)
    for line in sys.stdin:
        command, _, count = line.strip().partition(" ")
        if command != "run":
            sys.exit(f"unknown command: {line.strip()}")
        send(run(int(count)))
