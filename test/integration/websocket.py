"""A websocket client (RFC 6455) for the integration tests, on the standard library."""
import base64, hashlib, json, os, socket, struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


contexts = {}  # For TLS, by network: lab.py knows.


def network_of(ip):
    return ip.rsplit(".", 1)[0]


class Refused(Exception):
    """The answer to the handshake was not 101."""

    def __init__(self, status, text):
        Exception.__init__(self, "%d %s" % (status, text))
        self.status, self.text = status, text


class WebSocket:
    def __init__(self, ip, path, timeout=60, headers=(), port=4646, context=None):
        self.sock = socket.create_connection((ip, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = context or contexts.get(network_of(ip))
        if context:  # TLS.
            self.sock = context.wrap_socket(self.sock, server_hostname=ip)
        self.data = b""
        self.closed = None  # The other side's (code, reason).
        self.closing = False  # We have said that we close.
        key = base64.b64encode(os.urandom(16))
        head = {"Host": "%s:%d" % (ip, port), "Upgrade": "websocket", "Connection": "Upgrade",
                "Sec-WebSocket-Key": key.decode(), "Sec-WebSocket-Version": "13"}
        head.update(headers)
        lines = ["GET %s HTTP/1.1" % path] + ["%s: %s" % h for h in head.items() if h[1] is not None]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = self.until(b"\r\n\r\n").decode().split("\r\n")
        self.status = int(head[0].split()[1])
        self.headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in head[1:] if ":" in line)}
        if self.status != 101:
            raise Refused(self.status, self.take(int(self.headers.get("content-length", 0))).decode())
        want = base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode()
        assert self.headers.get("sec-websocket-accept") == want, self.headers
        assert self.headers.get("upgrade", "").lower() == "websocket", self.headers

    # -- bytes

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the connection was closed")
        self.data += data

    def until(self, end):
        while end not in self.data:
            self.more()
        head, self.data = self.data.split(end, 1)
        return head

    def take(self, n):
        while len(self.data) < n:
            self.more()
        data, self.data = self.data[:n], self.data[n:]
        return data

    # -- frames

    def send_frame(self, kind, data=b"", last=True, mask=True):
        n = len(data)
        self.closing = self.closing or kind == CLOSE
        head = struct.pack("!BB", (0x80 if last else 0) | kind, (0x80 if mask else 0) | (n if n < 126 else 126 if n < 65536 else 127))
        head += b"" if n < 126 else struct.pack("!H", n) if n < 65536 else struct.pack("!Q", n)
        if mask:
            key = os.urandom(4)
            number = int.from_bytes((key * (n // 4 + 1))[:n], "little") ^ int.from_bytes(data, "little")
            head, data = head + key, number.to_bytes(n, "little")
        self.sock.sendall(head + data)

    def frame(self):
        """Kind and payload of the next one."""
        first, n = struct.unpack("!BB", self.take(2))
        assert first & 0x80 and not first & 0x70 and not n & 0x80, "frame %02x %02x" % (first, n)
        if n >= 126:
            n = struct.unpack("!H", self.take(2))[0] if n == 126 else struct.unpack("!Q", self.take(8))[0]
        return first & 0x0f, self.take(n)

    # -- messages

    def send(self, what):
        self.send_frame(TEXT, what if isinstance(what, bytes) else json.dumps(what).encode())

    def receive(self):
        """The next message's JSON, or None after a close."""
        while True:
            kind, data = self.frame()
            if kind == TEXT:
                return json.loads(data)
            if kind == PING:
                self.send_frame(PONG, data)
            elif kind == CLOSE:
                self.closed = (struct.unpack("!H", data[:2])[0] if data else None, data[2:].decode())
                if not self.closing:  # Else it hangs up at once, and what comes then is answered by a reset.
                    self.send_frame(CLOSE, data[:2])
                return None

    def close(self):
        self.sock.close()
