"""The log's files (raft/journal_format.h), as one who damages them has to know them."""
import os, struct

HEADER, RECORD, MARK_SLOT, MAGIC = 48, 40, 512, 0x64636572


def make_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
        table.append(i)
    return table


TABLE = make_table()


def crc32c(crc, data):
    crc ^= 0xffffffff
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xff] ^ crc >> 8
    return crc ^ 0xffffffff


class Segment:
    """A file of the log with the records that are in it: (offset, sequence number, size with its header)."""

    def __init__(self, path):
        self.path = path
        data = open(path, "rb").read()
        self.salt = data[16:24]
        self.records, at = [], HEADER
        while at + RECORD <= len(data):
            magic, _, seq, _, _, _, size = struct.unpack_from("<IIQQIIQ", data, at)
            if magic != MAGIC or (self.records and seq != self.records[-1][1] + 1):
                break
            self.records.append((at, seq, RECORD + size))
            at += RECORD + size
        self.end = at

    def flip(self, offset):
        with open(self.path, "r+b") as f:
            f.seek(offset)
            byte = f.read(1)[0]
            f.seek(offset)
            f.write(bytes([byte ^ 0x10]))

    def tear(self, body):
        """A record of a write that power, or the kernel, did not let come to its end: its header is whole, and says so
        much of a body, of which only the first half is there. Its sync has never returned."""
        seq = self.records[-1][1] + 1 if self.records else struct.unpack_from("<Q", open(self.path, "rb").read(HEADER), 24)[0]
        rest = struct.pack("<QQIIQ", seq, 1 << 20, 1, 12345, len(body))
        record = struct.pack("<II", MAGIC, crc32c(crc32c(0, self.salt), rest)) + rest + body[:len(body) // 2]
        with open(self.path, "r+b") as f:
            f.seek(self.end)
            f.write(record)


def segments(folder):
    return [Segment(os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name.startswith("log-")]


def mark(folder):
    """Up to this record everything was synced, and it says so."""
    data, best = open(os.path.join(folder, "mark"), "rb").read(), 0
    for at in (0, MARK_SLOT):
        if len(data) >= at + 20:
            seq, _, crc = struct.unpack_from("<QQI", data, at)
            if crc == crc32c(0, data[at:at + 16]):
                best = max(best, seq)
    return best
