"""A stand-in for a worker or runner that a stranger has taken over: it tries what it should not.

    python -I -S sandbox_probe.py LAUNCHER PLAN [ATTEMPT]

It loads what it needs, enters the jail of PLAN by our own code, and prints one line an attempt: its
name and `denied`, or what it got. With ATTEMPT it tries that one alone, which may end the process.
"""

# ruff: noqa: PTH102, PTH108, PTH208, PTH211

import _socket
import ctypes
import importlib.util
import marshal
import os
import resource
import sys

_libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    number = launcher.SYSCALLS[name][0 if os.uname().machine == "x86_64" else 1]
    result = _libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def connect(port):
    made = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    made.connect(("127.0.0.1", port))


def attempts(parent, port, home):
    return {
        "read passwords": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "read our own source": lambda: os.open(__file__, os.O_RDONLY),
        "read the house's folder": lambda: os.open(home + "/secret", os.O_RDONLY),
        "list the root": lambda: os.listdir("/"),
        "list the house's folder": lambda: os.listdir(home),
        "write a file": lambda: os.open(home + "/written", os.O_CREAT | os.O_WRONLY),
        "write to the settings": lambda: os.open("/etc/hosts", os.O_WRONLY | os.O_APPEND),
        "make a folder": lambda: os.mkdir(home + "/made"),
        "remove a file": lambda: os.unlink(home + "/secret"),
        "make a link": lambda: os.symlink("/etc/passwd", home + "/link"),
        "memory of the parent": lambda: os.open(f"/proc/{parent}/mem", os.O_RDWR),
        "environment of the parent": lambda: os.open(f"/proc/{parent}/environ", os.O_RDONLY),
        "open files of the parent": lambda: os.listdir(f"/proc/{parent}/fd"),
        "signal to the parent": lambda: os.kill(parent, 0),
        "signal to process one": lambda: os.kill(1, 0),
        "internet socket": lambda: connect(port),
        "raw socket": lambda: _socket.socket(_socket.AF_PACKET, _socket.SOCK_RAW),
        "unix socket": lambda: _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM),
        "netlink socket": lambda: _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW),
        "become root": lambda: os.setuid(0) or "root" * (os.geteuid() != 0),
        "more open files": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192)),
        "change the root": lambda: os.chroot("/"),
        "new process": os.fork,
        "descriptor of the parent": lambda: call("pidfd_open", parent, 0),
        "new user namespace": lambda: call("unshare", 0x10000000),
        "memory file": lambda: call("memfd_create", b"x", 0),
        "run a shell": lambda: os.execve("/bin/sh", ["sh", "-c", "echo run a shell: out"], {}),
    }


# These end the process, so each needs one of its own.
KILLING = {
    "trace the parent": lambda parent: call("ptrace", 16, parent, 0, 0),
    "read the parent's memory": lambda parent: call("process_vm_readv", parent, 0, 0, 0, 0, 0),
    "load a program into the kernel": lambda parent: call("bpf", 0, 0, 0),
    "mount": lambda parent: call("mount", b"none", b"/", b"tmpfs", 0, 0),
    "ring of calls": lambda parent: call("io_uring_setup", 1, 0),
    "join a namespace": lambda parent: call("setns", 0, 0),
    "kernel keys": lambda parent: call("keyctl", 0, 0, 0, 0, 0),
}


def main():
    plan = marshal.loads(bytes.fromhex(sys.argv[2]))
    parent, port, home = os.getppid(), int(sys.argv[3]), sys.argv[4]
    tried = attempts(parent, port, home)
    launcher.enter(plan, launcher.open_grants(plan))
    if len(sys.argv) > 5:
        KILLING[sys.argv[5]](parent)
        print("got through", flush=True)
        return
    for name, attempt in tried.items():
        try:
            got = attempt()
        except (OSError, ValueError):
            got = "denied"
        if name == "new process" and got == 0:
            os._exit(0)
        print(f"{name}: {got}", flush=True)


spec = importlib.util.spec_from_file_location("launcher", sys.argv[1])
launcher = importlib.util.module_from_spec(spec)
spec.loader.exec_module(launcher)
if __name__ == "__main__":
    main()
