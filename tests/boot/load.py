# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside the machine: eight clients that connect, ask and read the answer until a line comes on standard input."""
import json
import socket
import sys
import threading
import time

SOCKET = "/run/nsd/io.nsd.Manager"
CALL = b'{"method":"io.nsd.Manager.GetStatus"}\0'
counts = {"answered": 0, "refused": 0, "broken": 0, "slowest": 0.0}
lock = threading.Lock()
stop = threading.Event()


def ask():
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        try:
            s.connect(SOCKET)
        except OSError:
            return "refused"
        try:
            s.sendall(CALL)
            answer = b""
            while not answer.endswith(b"\0"):
                piece = s.recv(65536)
                if not piece:
                    return "broken"  # nsd was stopped while it had the call
                answer += piece
        except OSError:
            return "broken"
    return "answered" if b'"parameters"' in answer else "broken"


def client():
    while not stop.is_set():
        start = time.monotonic()
        outcome = ask()
        with lock:
            counts[outcome] += 1
            counts["slowest"] = max(counts["slowest"], time.monotonic() - start)


threads = [threading.Thread(target=client) for _ in range(8)]
for thread in threads:
    thread.start()
print("started", flush=True)
sys.stdin.readline()
stop.set()
for thread in threads:
    thread.join()
print(json.dumps(counts))
