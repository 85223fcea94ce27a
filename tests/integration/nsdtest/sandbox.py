# SPDX-License-Identifier: GPL-2.0-or-later
"""Network and mount namespaces of one test: the calling process enters fresh ones and comes back."""
import contextlib
import ctypes
import os
import queue
import socket
import struct
import threading

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_BIND = 4096
MS_PRIVATE = 1 << 18
MS_SHARED = 1 << 20
MNT_DETACH = 2
SO_NETNS_COOKIE = 71

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags):
    _check(_libc.unshare(flags), "unshare")


def setns(fd, flags):
    _check(_libc.setns(fd, flags), "setns")


def mount(source, target, fstype=None, flags=0, data=None):
    encode = lambda text: None if text is None else str(text).encode()
    result = _libc.mount(encode(source), encode(target), encode(fstype), ctypes.c_ulong(flags), encode(data))
    _check(result, f"mount {target}")


def umount(target, flags=0):
    _check(_libc.umount2(str(target).encode(), flags), f"umount {target}")


@contextlib.contextmanager
def fresh():
    """Fresh network and mount namespaces (empty tmpfs on /run) for the body; the former ones afterwards."""
    cwd = os.getcwd()
    back = [(os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), flag)
            for name, flag in (("net", CLONE_NEWNET), ("mnt", CLONE_NEWNS))]
    try:
        unshare(CLONE_NEWNET | CLONE_NEWNS)
        mount("tmpfs", "/run", "tmpfs", data="mode=0755")
        mount("none", "/run", flags=MS_SHARED)  # as systemd has it
        yield
    finally:
        for fd, flag in back:
            setns(fd, flag)
            os.close(fd)
        os.chdir(cwd)


@contextlib.contextmanager
def thread_in_mounts(path):
    """The id of a thread that is in the mount namespace at `path` during the body."""
    entered, leave = queue.SimpleQueue(), threading.Event()

    def work():
        try:
            with open(path, "rb") as target:
                unshare(CLONE_FS)
                setns(target.fileno(), CLONE_NEWNS)
            entered.put(threading.get_native_id())
        except OSError as error:
            entered.put(error)
        leave.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        answer = entered.get()
        if isinstance(answer, OSError):
            raise answer
        yield answer
    finally:
        leave.set()
        thread.join()


@contextlib.contextmanager
def inside(path):
    """The calling thread is in the network namespace at `path` (or of the fd) during the body; None: it stays."""
    if path is None:
        yield
        return
    target = path if isinstance(path, int) else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(target, CLONE_NEWNET)
        yield
    finally:
        setns(back, CLONE_NEWNET)
        os.close(back)
        if not isinstance(path, int):
            os.close(target)


def is_namespace(path):
    """Is there a namespace at the path, and not just a file that one was mounted on?"""
    try:
        return os.stat(path).st_dev == os.stat("/proc/self/ns/net").st_dev
    except FileNotFoundError:
        return False


def cookie(path=None):
    """SO_NETNS_COOKIE of the namespace at `path`, or of the caller's."""
    if path is not None:
        with inside(path):
            return cookie()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        return struct.unpack("=Q", s.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0]
