"""An scp server that breaks its protocol in a way that its first argument names. Every other command is refused, as an
appliance does it."""

import os
import sys

HOW = sys.argv[1]
COMMAND = os.environ.get("SSH_ORIGINAL_COMMAND", "")


def send(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def receive():
    """One answer of the client: its kind."""
    kind = sys.stdin.buffer.read(1)
    if kind in (b"\1", b"\2"):
        sys.stdin.buffer.readline()
    return kind


def say(record):
    send(record)
    if not receive():
        sys.exit(1)


def file(name, content=b"evil"):
    say(b"C0644 %d %s\n" % (len(content), name))
    send(content)
    say(b"\0")


def source():
    receive()
    if HOW == "other-name":
        file(b".bashrc")
    elif HOW == "parent":
        file(b"../evil")
    elif HOW == "dots":
        say(b"D0755 0 tree\n")
        say(b"D0755 0 ..\n")
        file(b"evil")
    elif HOW == "second":
        file(b"tree")
        file(b"tree2")
    elif HOW == "same-again":
        file(b"tree")
        file(b"tree")
    elif HOW == "deep":
        say(b"D0755 0 tree\n")
        while True:
            say(b"D0755 0 d\n")
    elif HOW == "unasked-directory":
        say(b"D0755 0 tree\n")
        file(b"evil")
    elif HOW == "unbalanced":
        say(b"D0755 0 tree\n")
        say(b"E\n")
        say(b"E\n")
    elif HOW == "open-end":
        say(b"D0755 0 tree\n")
        file(b"inner")
    elif HOW == "short":
        say(b"C0644 100000 tree\n")
        send(b"x" * 5000)
    elif HOW == "unreadable":
        say(b"C0644 5 tree\n")
        send(b"\0" * 5)
        send(b"\1scp: tree: Input/output error\n")
        receive()
    elif HOW == "huge":
        say(b"C0644 18446744073709551615 tree\n")
        while True:
            send(b"x" * 65536)
    elif HOW == "banner":
        send(b"Welcome to this router. All access is logged.\n")
    elif HOW == "times":
        while True:
            say(b"T1 0 1 0\n")
    elif HOW == "fatal":
        send(b"\2scp: \x1b[2Jout of memory\n")
    elif HOW == "line":
        send(b"C" + b"0" * 100000)
    elif HOW == "good":
        file(b"tree", b"hello")
    else:
        sys.exit("unknown: " + HOW)


def sink():
    if HOW == "full":
        send(b"\0")
        line = sys.stdin.buffer.readline()
        size = int(line.split()[1])
        send(b"\0")
        while size:
            size -= len(sys.stdin.buffer.read(min(size, 65536)))
        receive()
        send(b"\1scp: x: No space left on device\n")
    elif HOW == "no-directory":
        send(b"\1scp: /nowhere/x: No such file or directory\n")
    elif HOW == "ends":
        send(b"\0")
        sys.stdin.buffer.readline()
        send(b"\0")
        sys.stdin.buffer.read(1000)
    elif HOW == "sends":
        send(b"\0")
        sys.stdin.buffer.readline()
        send(b"C0644 4 evil\nevil\0")
    else:
        sys.exit("unknown: " + HOW)


if COMMAND.startswith("scp ") and " -f " in COMMAND:
    source()
elif COMMAND.startswith("scp ") and " -t " in COMMAND:
    sink()
else:
    print("% Invalid input detected")
    sys.exit(1)
