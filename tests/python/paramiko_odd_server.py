"""A server that opens a channel of a type which nobody knows, and prints how often it was refused.

It prints its port, then, once the client has answered a global request that was sent behind it, the count.
"""

import socket
import threading

import paramiko

OPEN, GLOBAL_REQUEST = 90, 80


class Server(paramiko.ServerInterface):
    def get_allowed_auths(self, username):
        return "password"

    def check_auth_password(self, username, password):
        return paramiko.AUTH_SUCCESSFUL


class Transport(paramiko.Transport):
    """Counts the answers where they come in."""

    refusals = 0
    answered = threading.Event()

    def _parse_channel_open_failure(self, message):
        self.refusals += 1

    def _parse_request_success(self, message):
        self.answered.set()

    _parse_request_failure = _parse_request_success


def message(kind, name):
    packet = paramiko.Message()
    packet.add_byte(bytes([kind]))
    packet.add_string(name)
    return packet


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
transport = Transport(listener.accept()[0])
transport.add_server_key(paramiko.RSAKey.generate(2048))
transport.start_server(event=threading.Event(), server=Server())
while not transport.is_authenticated():
    threading.Event().wait(0.01)

opening = message(OPEN, "nobody-knows@example.com")
for number in (7, 1 << 20, 1 << 15):
    opening.add_int(number)
transport._send_user_message(opening)
for _ in range(2):
    # The first answer may overtake a refusal that is queued; the second one cannot.
    transport.answered.clear()
    request = message(GLOBAL_REQUEST, "nobody-knows@example.com")
    request.add_boolean(True)
    transport._send_user_message(request)
    transport.answered.wait(20)
print(transport.refusals, flush=True)
