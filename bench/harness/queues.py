"""Clients of queues, each on one connection with so many operations in each write. An item is one of a consumer's
when it was put; it is gone when it was got, or reserved and then confirmed."""

import contextlib
import json
import re
import socket

from harness.processes import Failed

ITEM = b"0123456789" * 20
# Seconds for an answer.
TIMEOUT = 30


class Connection:
    """Writes and reads; what came is counted in lines, of which an item has none within."""

    def __init__(self, port, item=ITEM):
        self._item = item
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self._socket.close()

    def ask(self, request, lines):
        """What is answered to `request`, which has so many lines."""
        self._socket.sendall(request)
        return self._receive(lines)

    def _receive(self, lines):
        chunks = []
        while lines > 0:
            chunk = self._socket.recv(1 << 20)
            if not chunk:
                raise Failed("the server has closed the connection")
            chunk = self._of_interest(chunk)
            lines -= chunk.count(b"\n")
            chunks.append(chunk)
        return b"".join(chunks)

    def _of_interest(self, chunk):
        return chunk

    def _items(self, request, lines, count):
        """The same, where `count` items have to be in it."""
        answer = self.ask(request, lines)
        if answer.count(self._item) != count:
            raise Failed(f"{count} items were asked for, and answered is {answer[:300]}")
        return answer


class Kestrel(Connection):
    """kestrel's dialect, as `windhover serve` speaks it."""

    def __init__(self, port, item=ITEM):
        super().__init__(port, item)
        self._put = self.to(b"q")

    def to(self, queue):
        """What puts an item into `queue`."""
        return b"set %s 0 0 %d\r\n%s\r\n" % (queue, len(self._item), self._item)

    def put(self, count):
        self.send(self._put * count, count)

    def send(self, puts, count):
        """Puts by requests that were made before."""
        answer = self.ask(puts, count)
        if answer != b"STORED\r\n" * count:
            raise Failed(f"an item is not stored: {answer[:300]}")

    def get(self, count):
        self._items(b"get q\r\n" * count, 3 * count, count)

    def reserve(self, count):
        """Each read confirms the one before."""
        self._items(b"get q/close/open\r\n" * count, 3 * count, count)

    def confirm(self):
        self.ask(b"get q/close\r\n", 1)


def resp(*words):
    """A command of Redis."""
    parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n%s" % (len(parts), b"".join(parts))


class RedisList(Connection):
    """RPUSH and LPOP; to reserve, LMOVE to a second list, and LREM from it to confirm."""

    GET = resp(b"LPOP", b"q")
    RESERVE = resp(b"LMOVE", b"q", b"p", b"LEFT", b"RIGHT")

    def __init__(self, port, item=ITEM):
        super().__init__(port, item)
        self._put, self._confirm = self.to(b"q"), resp(b"LREM", b"p", b"1", item)
        self._reserved = 0

    def to(self, queue):
        return resp(b"RPUSH", queue, self._item)

    def put(self, count):
        self.send(self._put * count, count)

    def send(self, puts, count):
        answer = self.ask(puts, count)
        if answer.count(b":") != count:
            raise Failed(f"an item is not stored: {answer[:300]}")

    def get(self, count):
        self._items(self.GET * count, 2 * count, count)

    def reserve(self, count):
        """With the next, the last are confirmed."""
        lines = self._reserved + 2 * count
        self._items(self._confirm * self._reserved + self.RESERVE * count, lines, count)
        self._reserved = count

    def confirm(self):
        answer = self.ask(self._confirm * self._reserved, self._reserved)
        if answer != b":1\r\n" * self._reserved:
            raise Failed(f"an item is not confirmed: {answer[:300]}")
        self._reserved = 0


class RedisStream(Connection):
    """XADD, XREADGROUP and XDEL, and XACK where an item is reserved."""

    def __init__(self, port, item=ITEM):
        super().__init__(port, item)
        self._put = resp(b"XADD", b"q", b"*", b"d", item)
        self._read = []
        self.ask(resp(b"XGROUP", b"CREATE", b"q", b"g", b"0", b"MKSTREAM"), 1)

    def put(self, count):
        answer = self.ask(self._put * count, 2 * count)
        if answer.count(b"$") != count:
            raise Failed(f"an item is not stored: {answer[:300]}")

    def get(self, count):
        self._take(count, [b"NOACK"])

    def reserve(self, count):
        self._take(count, [])

    def confirm(self):
        self.ask(*self._gone())

    def _gone(self):
        """What lets go of the items that were read last, and the lines that answer it."""
        read, self._read = self._read, []
        if not read:
            return b"", 0
        return resp(b"XACK", b"q", b"g", *read) + resp(b"XDEL", b"q", *read), 2

    def _take(self, count, how):
        gone, lines = self._gone()
        read = resp(b"XREADGROUP", b"GROUP", b"g", b"c", b"COUNT", b"%d" % count, *how,
                    b"STREAMS", b"q", b">")
        answer = self._items(gone + read, lines + 5 + 8 * count, count)
        self._read = re.findall(rb"\$\d+\r\n(\d+-\d+)\r\n", answer)


class JetStream(Connection):
    """A work queue in a file: a publish is acknowledged; reserved are so many from a pull consumer, and each is
    acknowledged, which removes it. It has nothing that takes an item without a confirmation."""

    get = None

    def __init__(self, port, item=ITEM):
        super().__init__(port, item)
        self._put = b"PUB q _I.p %d\r\n%s\r\n" % (len(item), item)
        self._receive(1)
        self._acks = []
        self.ask(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB _I.* 1\r\nPING\r\n', 1)
        self._api(
            "STREAM.CREATE.s",
            {"name": "s", "subjects": ["q"], "storage": "file", "retention": "workqueue"},
        )
        consumer = {"durable_name": "c", "ack_policy": "explicit", "max_ack_pending": 10_000}
        self._api("CONSUMER.DURABLE.CREATE.s.c", {"stream_name": "s", "config": consumer})

    def _of_interest(self, chunk):
        if b"PING\r\n" in chunk:
            self._socket.sendall(b"PONG\r\n")
            return chunk.replace(b"PING\r\n", b"")
        return chunk

    def _api(self, subject, body):
        body = json.dumps(body).encode()
        answer = self.ask(b"PUB $JS.API.%s _I.a %d\r\n%s\r\n" % (subject.encode(), len(body), body), 2)
        if b'"error"' in answer:
            raise Failed(f"{subject} is answered {answer[:500]}")

    def put(self, count):
        answer = self.ask(self._put * count, 2 * count)
        if answer.count(b'"seq":') != count:
            raise Failed(f"an item is not stored: {answer[:300]}")

    def reserve(self, count):
        next_ = b'{"batch":%d,"expires":%d}' % (count, TIMEOUT * 10**9)
        pull = b"PUB $JS.API.CONSUMER.MSG.NEXT.s.c _I.n %d\r\n%s\r\n" % (len(next_), next_)
        answer = self._items(self._acknowledged() + pull, 2 * count, count)
        self._acks = re.findall(rb"MSG q 1 (\S+) ", answer)

    def confirm(self):
        self.ask(self._acknowledged() + b"PING\r\n", 1)

    def _acknowledged(self):
        acks, self._acks = self._acks, []
        return b"".join(b"PUB %s 4\r\n+ACK\r\n" % subject for subject in acks)


def connect(kind, port, item=ITEM):
    return contextlib.closing(kind(port, item))
