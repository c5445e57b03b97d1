"""parallel-ssh's client for one host as a peer at files. It checks no host key."""

import os

from pssh.clients import SSHClient

import worker


def main():
    port, user, key, _, verb, item, source, into = worker.files()
    clock = worker.Clock()
    client = SSHClient("127.0.0.1", user=user, port=port, pkey=key, allow_agent=False, identity_auth=False)
    move = client.copy_file if verb == "put" else client.copy_remote_file
    move(source, os.path.join(into, item), recurse=item == "tree")
    client.disconnect()
    clock.tell()


main()
