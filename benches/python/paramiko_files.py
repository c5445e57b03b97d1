"""paramiko as a peer at files. It has no call for trees, so there is one for each file."""

import os
import socket

import paramiko

import worker

# Exchanging keys anew amid a transfer, after 512 MiB, makes paramiko give up.
paramiko.packet.Packetizer.REKEY_BYTES = 1 << 40
paramiko.packet.Packetizer.REKEY_PACKETS = 1 << 40


def main():
    port, user, key, known_hosts, verb, item, source, into = worker.files()
    clock = worker.Clock()
    client = paramiko.SSHClient()
    client.load_host_keys(known_hosts)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    client.connect("127.0.0.1", port, username=user, key_filename=key, allow_agent=False, look_for_keys=False)
    # Without it Nagle's algorithm would be most of what is measured.
    client.get_transport().sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sftp = client.open_sftp()
    move = sftp.put if verb == "put" else sftp.get
    target = os.path.join(into, item)
    if item == "tree":
        make = sftp.mkdir if verb == "put" else os.mkdir
        names = os.listdir(source) if verb == "put" else sftp.listdir(source)
        make(target)
        for name in names:
            move(os.path.join(source, name), os.path.join(target, name))
    else:
        move(source, target)
    client.close()
    clock.tell()


main()
