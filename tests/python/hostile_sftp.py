"""An SFTP subsystem that misbehaves as its argument says, with whoever speaks first."""

import os
import signal
import struct
import sys

HOW = sys.argv[1]


def string(data):
    return struct.pack(">I", len(data)) + data


def send(body):
    sys.stdout.buffer.write(string(body))
    sys.stdout.buffer.flush()


def receive():
    length = sys.stdin.buffer.read(4)
    if len(length) < 4:
        sys.exit(0)
    return sys.stdin.buffer.read(struct.unpack(">I", length)[0])


def entry(name):
    return string(name) + string(name) + struct.pack(">I", 0)


def short_entry(name):
    return string(name) + string(b"") + struct.pack(">I", 0)


def status(request, code, message=b""):
    send(b"\x65" + request + struct.pack(">I", code) + string(message) + string(b""))


if HOW == "gone":
    sys.exit(3)
if HOW == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if HOW == "empty":
    send(b"")
receive()
send(b"\x02" + struct.pack(">I", 2 if HOW == "old" else 3))
listed = False
kept = []
while True:
    packet = receive()
    kind, request = packet[0], packet[1:5]
    if HOW == "patient":  # Answers nothing until there are a thousand, and then the last one first.
        kept.append(packet)
        if len(kept) == 1000:
            for late in reversed(kept):
                send(b"\x69" + late[1:5] + struct.pack(">IQ", 1, int(late[9:])))
        continue
    if HOW == "crossed" and kind == 12:  # Of two that ask for entries the second one gets them.
        kept.append(request)
        if len(kept) == 2:
            status(kept[0], 1)
            send(b"\x68" + kept[1] + struct.pack(">I", 1) + entry(b"late"))
        continue
    if HOW == "forbidding" and kind in (7, 8, 17):  # LSTAT, FSTAT, STAT: a file that can be opened.
        send(b"\x69" + request + struct.pack(">IQ", 1, 600_000))
        continue
    if HOW == "endless" and kind in (7, 17):  # LSTAT, STAT: a directory.
        send(b"\x69" + request + struct.pack(">II", 4, 0o40755))
        continue
    if HOW == "endless" and kind == 12:  # READDIR: always as much as a packet holds.
        names = [(b"%d-%d-" % (len(kept), n)).ljust(8000, b"x") for n in range(29)]
        kept.append(None)
        send(b"\x68" + request + struct.pack(">I", len(names)) + b"".join(map(short_entry, names)))
        continue
    if HOW == "forbidding" and kind == 5:  # READ, which it then does not permit.
        status(request, 3)
        continue
    if HOW == "quits" and listed:
        sys.exit(0)
    if kind in (3, 11):  # OPEN, OPENDIR
        send(b"\x66" + request + string(b"h"))
    elif kind == 12 and not listed:  # READDIR
        listed = True
        names = [b"good", b"../escape", b"/etc/passwd", b"", b"a/b", b"..", b"fine"]
        send(b"\x68" + request + struct.pack(">I", len(names)) + b"".join(map(entry, names)))
    elif kind == 12:
        status(request, 1)
    elif kind == 17 and HOW == "stranger":  # STAT
        status(struct.pack(">I", 4711), 0)
    elif kind == 17 and HOW == "nonsense":
        send(b"\x69" + request + b"\xff")
    elif kind == 17 and HOW == "odd":
        send(b"\x66" + request + string(b"a handle for a stat"))
    elif kind == 5 and HOW == "generous":  # READ
        send(b"\x67" + request + string(b"x" * 1000))
    elif kind == 5 and HOW == "stingy":
        offset, length = struct.unpack(">QI", packet[-12:])
        data = b"0123456789"[offset : offset + min(length, 3)]
        send(b"\x67" + request + string(data)) if data else status(request, 1)
    elif kind == 6:  # WRITE
        status(request, 4, b"No space left\x1b[2J on device")
    elif kind == 4:  # CLOSE
        status(request, 0)
    else:
        status(request, 8)
