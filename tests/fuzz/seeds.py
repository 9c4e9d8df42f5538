#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the seed corpus of each fuzz target: seeds.py DIRECTORY.

Numbers are those of protocol/*.h. Text seeds and inputs that once failed stand in
corpus/TARGET/ beside this file.
"""
import os
import struct
import sys

CHANNEL_MAGIC = 0x4E41484355504756
SOCKET_MAGIC = 0x4B434F5355504756
VERSION = 2 << 16
NEAR_SMALL, NEAR_BELOW, NEAR_ABOVE, NEAR_HALF, NEAR_MAX, NEAR_SIGN, NEAR_PAGE = range(7)


def frame(kind, body, seq=7):
    return struct.pack("<IIII", kind, 16 + len(body), seq, 0) + body


def text(s, size):
    return s.encode().ljust(size, b"\0")


FRAMES = {
    "hello": frame(1, struct.pack("<QII", SOCKET_MAGIC, VERSION, 8) + bytes(16) + text("vm", 64)),
    "welcome": frame(2, struct.pack("<QIIQ", SOCKET_MAGIC, VERSION, 8, 1 << 30) + text("0.1.0", 32)),
    "refused": frame(3, struct.pack("<QIi", SOCKET_MAGIC, VERSION, -1004) + text("no", 128)),
    "open": frame(4, struct.pack("<IIQQ", 0, 0, 0, 1 << 20)),
    "opened": frame(5, struct.pack("<Ii", 0, 0) + text("", 104)),
    "close": frame(6, struct.pack("<II", 0, 0)),
    "closed": frame(7, struct.pack("<Ii", 0, -1025), seq=0),
    "ping": frame(8, b""),
    "pong": frame(9, struct.pack("<II", VERSION, 8) + text("0.1.0", 32)),
    "hello-v3": frame(1, struct.pack("<QII", SOCKET_MAGIC, 3 << 16, 8) + bytes(40)),
}


def frame_seeds():
    for name, bytes_ in FRAMES.items():
        yield name, b"\0" + bytes_
        yield name + "-bytewise", b"\2" + bytes_
    # through the socket: cut byte is descriptors << 4 | bytes / 16
    yield "open-fds", b"\1" + b"\x30" + FRAMES["open"]
    yield "open-2-fds", b"\1" + b"\x20" + FRAMES["open"]
    yield "ping-fds", b"\1" + b"\x10" + FRAMES["ping"]
    yield "ping-7-fds", b"\1" + b"\x70" + FRAMES["ping"]
    yield "session", b"\0" + FRAMES["hello"] + FRAMES["ping"] + FRAMES["close"]


def channel_seeds():
    length = 64
    yield "valid", bytes([length << 1])
    header = struct.pack("<QIIQIIIIIIQI", CHANNEL_MAGIC, VERSION, 0, 31 * 4 * 4096, 0x1000,
                         0x2000, 64, 0x4000, 64, 0x5000, 31 * 4 * 4096 - 0x5000, 0)
    yield "raw", bytes([31 << 1 | 1]) + header.ljust(4096, b"\0")
    for field in range(13):
        for near in (NEAR_SMALL, NEAR_BELOW, NEAR_MAX, NEAR_PAGE):
            yield f"field-{field}-{near}", bytes([length << 1, field, near, 1, 9])


def request(cmd, args=b"", flags=0, ptr=0, length=0):
    return struct.pack("<IHHIIQ", 0, cmd, flags, 1, length, ptr) + args.ljust(104, b"\0")


def request_seeds():
    add = struct.pack("<QQQII", 0, 1024, 2048, 256, 0)
    self_test = struct.pack("<QQQII", 0, 0, 0, 0, 1)
    raw = {
        "nop": request(1),
        "add": request(2, add),
        "self-test": request(2, self_test),
        "status": request(3, ptr=64, length=280),
        "message": request(4, ptr=0, length=20),
        "unknown": request(99),
        "sticky": request(99, flags=1),
    }
    for name, r in raw.items():
        yield name, bytes([4, 10, 1]) + r
    yield "all", bytes([4, 10]) + b"".join(b"\1" + r for r in raw.values())
    gpu = {
        "copies": [
            request(17, bytes(8)),
            request(18),
            request(19, struct.pack("<Q", 4096)),
            request(33, struct.pack("<II", 1, 0)),
            request(37, struct.pack("<II", 1, 0)),
            request(37, struct.pack("<II", 2, 1)),
            request(34, struct.pack("<I", 1)),
        ],
        "module": [
            request(25, struct.pack("<IIQQ", 1, 0, 0, 16), length=16),
            request(26, struct.pack("<I", 1), length=64),
            request(28, struct.pack("<II", 1, 1), length=5),
            request(27, struct.pack("<I", 1)),
        ],
        "events": [
            request(38, struct.pack("<II", 1, 0)),
            request(40, struct.pack("<II", 1, 0)),
            request(41, struct.pack("<I", 1)),
            request(42, struct.pack("<II", 1, 1)),
            request(35, struct.pack("<II", 0, 1)),
            request(39, struct.pack("<I", 1)),
        ],
        "host-func": [
            request(43, struct.pack("<II", 0, 1)),
            request(36, bytes(8)),
            request(44, struct.pack("<II", 0, 1)),
        ],
        "graph": [
            request(33, struct.pack("<II", 1, 0)),
            request(45, struct.pack("<II", 1, 0)),
            request(46, struct.pack("<II", 1, 1)),
            request(47, struct.pack("<II", 1, 0)),
            request(48, struct.pack("<II", 1, 0)),
        ],
    }
    for name, requests in gpu.items():
        yield name, bytes([4, 10]) + b"".join(b"\x0f" + r for r in requests)
    # Records of nearly right ones: how, flags, command, id, then what the command takes.
    near = [
        bytes([2, 0, 19, 1, 0, NEAR_PAGE, 1]),
        bytes([2, 0, 25, 1, 0, 1, 0]),
        bytes([2, 0, 26, 1, 0, 1, 0]),
    ]
    for kernel in range(8):
        get = bytes([2, 0, 28, 1, kernel, 1, 1])
        for words in range(10):
            launch = bytes([2, 0, 32, 1, 0, 1, 0] + [2] * 6 + [words] + [NEAR_SMALL, 0] * 3 + [9])
            yield f"launch-{kernel}-{words}", bytes([4, 10]) + b"".join(near) + get + launch
    for cmd in range(16, 50):
        yield f"near-gpu-{cmd}", bytes([4, 10]) + near[0] + bytes([6, 0, cmd, 1] + [1, 0] * 8)
    for how in range(0, 256, 16):
        for cmd in (2, 3, 4):
            yield f"near-{how | cmd}", bytes([2, 10, 0, how, cmd, 5]) + bytes(
                [NEAR_SMALL, 0, NEAR_HALF, 0, NEAR_BELOW, 64, NEAR_SMALL, 64])


def response_seeds():
    yield "answered", bytes([0] + [0, 2, 0, 1] * 20)
    yield "pipelined", bytes([1] + [0] * 66 + [2, 0] * 64 + [1] * 65)
    for how in range(32):
        yield f"answer-{how}", bytes([0, 0, 2, how, 1, 1, 1, 1, 1, 1, 1, 1])
    yield "index", bytes([0, 0, 4, 255, 255, 255, 255, 1])
    yield "unasked", bytes([0, 2, 0, 0, 1])


def ring_seeds():
    for mode in range(8):
        yield f"steps-{mode}", bytes([mode] + [5, 3, 4, 0, 2, 5, 3, 4] * 6)
        yield f"jump-{mode}", bytes([mode, 5, 3, 1, 255, 255, 255, 127, 4, 5, 4])


def log_seeds():
    samples = {
        "plain": b"hello",
        "controls": bytes(range(32)) + b"\x7f",
        "utf8": "grüße €  \U0001F600".encode(),
        "c1": "\u0085\u009b\u2028\u202e".encode(),
        "broken": b"\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xff\xfe\xc3",
        "backslash": b"a\\x41\\n",
    }
    for name, s in samples.items():
        yield name, b"\xff" + s
        yield name + "-cut", b"\x04" + s


def mediator_seeds():
    start = bytes([3, 5, 1])
    connect = [bytes([0, i]) for i in range(4)]
    hello = [bytes([1, i << 3, 1, 4, 0, 2]) + b"vm" for i in range(4)]
    open_ = [bytes([1, i << 3 | 2, 0, 9]) for i in range(4)]
    close = [bytes([1, i << 3 | 5, 0, 3]) for i in range(4)]
    ready = [bytes([4, i << 2 | 1, 0]) for i in range(4)]
    attached = [bytes([4, i << 2 | 1, 3]) for i in range(4)]
    ended = [bytes([4, i << 2 | 1, 6]) for i in range(4)]
    dies = [bytes([4, i << 2]) for i in range(4)]
    text_ = [bytes([4, i << 2 | 1, 0x85, 2, 0, 20]) + b"hello".ljust(16) for i in range(4)]
    hangup = [bytes([1, 0x80 | i << 3 | 7]) for i in range(4)]
    drain = bytes([255])
    yield "served", b"".join([start, ready[0], connect[0], hello[0], open_[0], attached[0],
                              text_[0], close[0], ended[0], dies[0]])
    yield "waits", b"".join([start, connect[1], hello[1], open_[1], ready[0], attached[0],
                             dies[0], hangup[1]])
    yield "hangs-up", b"".join([start, ready[0], connect[0], hello[0], open_[0], hangup[0],
                                attached[0], ended[0], dies[0]])
    yield "two", b"".join([start, ready[0], ready[1], connect[0], connect[1], hello[0], hello[1],
                           open_[0], open_[1], attached[1], attached[0], dies[0], close[1],
                           ready[2], open_[0], attached[2], drain, ended[1], dies[1], dies[2]])
    yield "crashes", b"".join([start, dies[0], dies[1], connect[0], hello[0], open_[0]])
    # a worker that gives a reason which is none
    yield "refuses-wildly", b"".join([start, ready[0], connect[0], hello[0], open_[0],
                                      bytes([4, 1, 0x33]), dies[0]])
    yield "ends-wildly", b"".join([start, ready[0], connect[0], hello[0], open_[0], attached[0],
                                   bytes([4, 1, 0x16, 1, 1, 0, 0]), dies[0]])


def guest_seeds():
    # mode, four calls, then the host's steps: welcome, opened, and an answer (4, how) a call
    opened = bytes([0, 1])
    for mode in range(4):
        for call in range(8):
            yield f"call-{call}-{mode}", bytes([mode] + [call] * 4) + opened + bytes([4, 0] * 60)
    yield "add-pieces", bytes([1, 0xfa, 0xfb, 7, 7]) + opened + bytes([4, 0] * 80)
    for how in range(0, 64, 3):
        yield f"answer-{how}", bytes([1, 0, 2, 5, 7]) + opened + bytes([4, how] + [3] * 40)
    yield "refused", bytes([0, 7, 7, 7, 7, 8 << 2 | 2, 0x15, 0xfc, 0xff, 0xff]) + b"no"
    yield "hangs-up", bytes([0, 7, 7, 7, 7, 0, 255])


def registers_seeds():
    for channels in range(7):
        yield f"identity-{channels}", bytes([1, NEAR_ABOVE, 0, 0, 0, 1, 2, 3, 4, 0, channels, 3, 0,
                                             NEAR_SMALL, 5])
    yield "opened", bytes([0, 3, 40, 40])
    for why in (b"no GPU".ljust(108, b"\0"), b"\x1b" * 108, b"A" * 200):
        yield f"refused-{len(why)}-{why[0]}", bytes([0, 3, 40, 5]) + why
    yield "busy", bytes([0, 3, 255, 1, 0, 0, 0])


def xenstore_seeds():
    start, claim = b"\1\x07\1", b"\1\x02\x10"
    opened, ended = b"\xa1\x80", b"\xa1\x10"
    yield "session", b"\3\0" + start + claim + opened + b"\1\x03\0"
    yield "dead", b"\3\0" + start + claim + opened + ended + claim
    yield "refused", b"\3\xff" + start + claim + claim
    yield "again", b"\3\0" + start + claim + opened + b"\0\x03\0" + b"\1\x02\x20" + ended + ended
    yield "junk", b"\3\0" + start + b"\1\x02\0\1\x04\1\xc1" + bytes(256)
    yield "detach", b"\3\0" + start + claim + opened + b"\xe1\x80" + ended + b"\xe1\1\xe1\x22"
    yield "gone", b"\3\0" + start + claim + opened + b"\xe1\3"
    yield "lost", b"\3\0" + start + claim + opened + b"\xe1\xf4"
    yield "kernel", b"\3\0" + start + b"\1\0\0\5" + b"\1\0\0\6" + b"\1\0\0\1"


TARGETS = {
    "channel": channel_seeds,
    "frame": frame_seeds,
    "guest": guest_seeds,
    "log": log_seeds,
    "mediator": mediator_seeds,
    "registers": registers_seeds,
    "request": request_seeds,
    "response": response_seeds,
    "ring": ring_seeds,
    "xenstore": xenstore_seeds,
}


def main():
    for target, seeds in TARGETS.items():
        directory = os.path.join(sys.argv[1], target)
        os.makedirs(directory, exist_ok=True)
        for name, data in seeds():
            with open(os.path.join(directory, name), "wb") as f:
                f.write(data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
