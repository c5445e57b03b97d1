"""A terminal with a person at it: runs a program in a pseudo-terminal, waits for what it shows, and types.

Reads one JSON object on standard input: the program's argument vector, its environment and directory, and the steps, each
one of
    {"wait": TEXT}            until the text has been shown, after what was waited for before
    {"type": TEXT}            press these keys
    {"resize": [ROWS, COLS]}  change the size of the window
    {"signal": NUMBER}        send a signal to the program
    {"run": [ARGUMENT, ..]}   run another program to its end
    {"leave": [NUMBER, ..]}   read nothing any more, until the program has ended after these signals; a second between them

Writes one JSON object: all that was shown, the exit status (of a signal, its negative number), the modes of the terminal before and
after, and the step that did not come to pass within its time, if any.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

PATIENCE = 20.0


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def modes(terminal):
    state = termios.tcgetattr(terminal)
    return state[:6] + [[c.decode("latin-1") if isinstance(c, bytes) else c for c in state[6]]]


def main():
    request = json.load(sys.stdin)
    ours, theirs = pty.openpty()
    resize(ours, 30, 100)
    before = modes(theirs)

    def become_session_leader():
        # A terminal hands over no ignored signals, whatever the test was started under (nohup ignores one).
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    program = subprocess.Popen(
        request["command"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=request["cwd"],
        env=request["env"],
        preexec_fn=become_session_leader,
    )
    shown = ""
    seen = 0

    def read(until):
        """Takes in what is shown until `until` is true, the program has ended, or time is up."""
        nonlocal shown
        give_up = time.monotonic() + PATIENCE
        while not until():
            left = give_up - time.monotonic()
            if left <= 0:
                return False
            if select.select([ours], [], [], min(left, 0.05))[0]:
                shown += os.read(ours, 65536).decode("utf-8", "replace")
            elif program.poll() is not None:
                return until()
        return True

    failed = None
    for step in request["steps"]:
        if "wait" in step:
            text = step["wait"]
            if not read(lambda: text in shown[seen:]):
                failed = step
                break
            seen = shown.index(text, seen) + len(text)
        elif "type" in step:
            os.write(ours, step["type"].encode())
        elif "resize" in step:
            resize(ours, *step["resize"])
        elif "signal" in step:
            program.send_signal(step["signal"])
        elif "run" in step:
            subprocess.run(step["run"], check=True)
        elif "leave" in step:
            for number in step["leave"]:
                # That the terminal is full cannot be seen from this side.
                time.sleep(1)
                program.send_signal(number)
            try:
                program.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                failed = step
                break
    if failed is None and not read(lambda: program.poll() is not None):
        failed = "the end of the program"
    if program.poll() is None:
        program.kill()
    program.wait()
    while select.select([ours], [], [], 0)[0]:
        shown += os.read(ours, 65536).decode("utf-8", "replace")
    json.dump(
        {
            "shown": shown,
            "status": program.returncode,
            "before": before,
            "after": modes(theirs),
            "failed": failed,
        },
        sys.stdout,
    )


main()
