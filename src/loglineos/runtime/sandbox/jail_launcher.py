"""Puts this process behind the layers of the operating system, then becomes another program.

    python -I -S jail_launcher.py PLAN -- /absolute/command argument...

PLAN is made by `jail.py`: hex of a marshalled dict. This file stands alone: it runs without our
package, starts in about ten milliseconds, and is also imported by the runner, which jails itself.

Always holds: when it returns, each layer that the plan requires is in force and cannot be undone;
when one is not, nothing is started (exit status 126, a line on the error stream).

Source: landlock(7), seccomp(2), user_namespaces(7), capabilities(7); syscall numbers from the
kernel's unistd_64.h (x86-64) and asm-generic/unistd.h (aarch64).
"""

import ctypes
import marshal
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

LAYERS = ("landlock", "seccomp", "namespaces")
EXIT_REFUSED = 126
NOBODY = 65534

_x86 = os.uname().machine in ("x86_64", "amd64")
_AUDIT_ARCH = 0xC000003E if _x86 else 0xC00000B7

# name: (x86-64, aarch64); None where an architecture lacks it.
SYSCALLS: "dict[str, tuple[int | None, int | None]]" = {
    "read": (0, 63), "write": (1, 64), "futex": (202, 98), "epoll_wait": (232, None),
    "epoll_pwait": (281, 22), "clock_gettime": (228, 113), "mmap": (9, 222), "munmap": (11, 215),
    "madvise": (28, 233), "brk": (12, 214), "mremap": (25, 216), "mprotect": (10, 226),
    "readv": (19, 65), "writev": (20, 66), "poll": (7, None), "ppoll": (271, 73),
    "recvfrom": (45, 207), "sendto": (44, 206), "recvmsg": (47, 212), "sendmsg": (46, 211),
    "pread64": (17, 67), "pwrite64": (18, 68), "lseek": (8, 62), "close": (3, 57),
    "close_range": (436, 436), "fstat": (5, 80), "newfstatat": (262, 79), "statx": (332, 291),
    "openat": (257, 56), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "fcntl": (72, 25), "ioctl": (16, 29),
    "getcwd": (79, 17), "membarrier": (324, 283), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "nanosleep": (35, 101), "gettimeofday": (96, 169),
    "getrandom": (318, 278), "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "tgkill": (234, 131), "exit": (60, 93), "exit_group": (231, 94), "set_tid_address": (218, 96),
    "set_robust_list": (273, 99), "rseq": (334, 293), "arch_prctl": (158, None),
    "prlimit64": (302, 261), "prctl": (157, 167), "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21), "eventfd2": (290, 19), "pipe2": (293, 59),
    "restart_syscall": (219, 128), "sysinfo": (99, 179), "uname": (63, 160),
    "execve": (59, 221), "execveat": (322, 281),
    "getdents64": (217, 61), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "fadvise64": (221, 223), "getrusage": (98, 165), "times": (100, 153), "stat": (4, None),
    "lstat": (6, None), "open": (2, None), "select": (23, None), "pselect6": (270, 72),
    "pipe": (22, None), "getpriority": (140, 141), "umask": (95, 166), "getpgrp": (111, None),
    "getpgid": (121, 155), "getsid": (124, 156), "getresuid": (118, 148), "getresgid": (120, 150),
    "getgroups": (115, 158), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "statfs": (137, 43), "fstatfs": (138, 44), "mincore": (27, 232),
    "fork": (57, None), "vfork": (58, None), "clone": (56, 220), "clone3": (435, 435),
    "wait4": (61, 260), "waitid": (247, 95), "kill": (62, 129), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "socketpair": (53, 199), "shutdown": (48, 210),
    "unshare": (272, 97), "setresuid": (117, 147), "setresgid": (119, 149),
    "setgroups": (116, 159), "capset": (126, 91), "capget": (125, 90), "setpriority": (141, 140),
    "setrlimit": (160, 164), "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445), "landlock_restrict_self": (446, 446),
    "seccomp": (317, 277), "memfd_create": (319, 279), "ftruncate": (77, 46),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "bpf": (321, 280), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "perf_event_open": (298, 241),
    "open_by_handle_at": (304, 265), "setns": (308, 268), "pidfd_getfd": (438, 438),
}  # fmt: skip

_NAMES = list(SYSCALLS)
# What the engine of tier P and D needs: threads yes, processes no, sockets no.
WORKER = _NAMES[: _NAMES.index("getdents64")]
# A whole CPython that reads files it was given.
PYTHON = _NAMES[: _NAMES.index("fork")]
# Our runner: starts jailed workers, and the launcher does its work under this filter too.
RUNNER = _NAMES[: _NAMES.index("ptrace")]
_SOCKETS = ("recvfrom", "sendto", "recvmsg", "sendmsg")
PROFILES = {
    "worker": [name for name in WORKER if name not in _SOCKETS],
    "python": [name for name in PYTHON if name not in _SOCKETS],
    "runner": [name for name in RUNNER if name not in ("clone", "clone3")],
}
KILLING = _NAMES[_NAMES.index("ptrace") :]

_libc = ctypes.CDLL(None, use_errno=True)


class LayerMissing(Exception):
    """The kernel refused a layer; `layer` is its name."""

    def __init__(self, layer: str, reason: str) -> None:
        super().__init__(f"{layer}: {reason}")
        self.layer = layer
        self.reason = reason


def enter(plan: "dict[str, Any]", granted: "list[tuple[int, int]]") -> "list[str]":
    """Put this process behind the layers of `plan`; return the names of those that are missing.

    The process dies with the thread that started it (H7). Must be called while the process has one
    thread. A plan holds: `profile` (a name in PROFILES), `required` (layers), `inherited` (layers
    that whoever starts this is behind already), `limits` (rlimits by name), `nice`, `nobody` (give
    up being root, if it is), `keep_capabilities` (numbers), and what `open_grants` reads. `granted`
    is what that gave.

    Raises:
        LayerMissing: the kernel does not offer a layer that is required.
    """
    missing = []
    if plan["nobody"]:
        become_nobody()
    die_with_parent()
    _limit(plan)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("namespaces", enter_namespaces),
        ("landlock", lambda: landlock(granted)),
        ("seccomp", lambda: seccomp(plan["profile"])),
    ]
    for layer, step in steps:
        if layer == "landlock":
            _prctl(_PR_SET_NO_NEW_PRIVS, 1)
            drop_capabilities(plan.get("keep_capabilities", ()))
            _prctl(_PR_SET_DUMPABLE, 0)
        try:
            step()
        except OSError as error:
            if layer in plan.get("inherited", ()):
                continue
            if layer in plan["required"]:
                raise LayerMissing(layer, os.strerror(error.errno or 0)) from error
            missing.append(layer)
    return missing


def become_nobody() -> bool:
    """As root: give the identity up for one that owns nothing. Best effort; tell if it is done."""
    if os.geteuid() != 0:
        return False
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        return False
    return True


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends (H7)."""
    _prctl(_PR_SET_PDEATHSIG, 9)


def enter_namespaces() -> None:
    """Leave the network, the System V IPC and the host name of the machine behind.

    A process with rights over the machine just leaves; any other gets its own user namespace first,
    in which it is mapped to itself, so that its children may do the same.
    """
    apart = _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
    if os.geteuid() == 0 and _libc.unshare(apart) == 0:
        return
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(apart | _CLONE_NEWUSER) != 0:
        raise _os_error()
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        try:
            file = os.open("/proc/self/" + name, os.O_WRONLY)
        except OSError:
            continue  # without a map it is nobody in there, which is enough for a worker
        try:
            os.write(file, line.encode())
        except OSError:
            pass
        finally:
            os.close(file)


def drop_capabilities(keep: "Iterable[int]" = ()) -> None:
    """Give up all capabilities but `keep`; no_new_privs then holds across execve."""
    bits = sum(1 << number for number in keep)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    held = (ctypes.c_uint32 * 6)()
    _libc.capget(header, held)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    left = (ctypes.c_uint32 * 6)(held[1] & low, held[1] & low, 0, held[4] & high, held[4] & high, 0)
    _libc.capset(header, left)


def landlock_version() -> int:
    """Return the version of Landlock that this kernel offers, 0 if none."""
    number = _libc.syscall(_number("landlock_create_ruleset"), None, 0, 1)
    return max(0, int(number))


def open_grants(plan: "dict[str, Any]") -> "list[tuple[int, int]]":
    """Open what the plan grants, while this process may still reach it.

    `read`: paths that may be read. `list`: folders that may be read and listed. `execute`: files
    that may be run and read. `write`: files that may be read and written. What is not there is
    left out.
    """
    read, execute, listing, write = 1 << 2, 1 << 0, 1 << 3, 1 << 1
    granted = []
    for key, access in (
        ("read", read),
        ("list", read | listing),
        ("execute", read | execute),
        ("write", read | write),
    ):
        for path in plan.get(key, ()):
            try:
                file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            granted.append((file, access))
    return granted


def landlock(granted: "list[tuple[int, int]]") -> None:
    """Deny every file but those granted, every TCP port, and signals to anybody outside."""
    version = landlock_version()
    if version < 1:
        raise OSError(38, "no Landlock")
    handled = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):
        if version >= since:
            handled |= 1 << bit
    fields = [handled, 3 if version >= 4 else 0, 3 if version >= 6 else 0]
    attributes = (ctypes.c_uint64 * 3)(*fields)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _libc.syscall(_number("landlock_create_ruleset"), attributes, size, 0)
    if ruleset < 0:
        raise _os_error()
    try:
        for file, access in granted:
            packed = access.to_bytes(8, "little") + file.to_bytes(4, "little")
            rule = ctypes.create_string_buffer(packed, 12)
            if _libc.syscall(_number("landlock_add_rule"), ruleset, 1, rule, 0) != 0:
                raise _os_error()
        if _libc.syscall(_number("landlock_restrict_self"), ruleset, 0) != 0:
            raise _os_error()
    finally:
        os.close(ruleset)
        for file, _ in granted:
            os.close(file)


def seccomp(profile: str) -> None:
    """Allow the syscalls of a profile; kill at the worst ones; answer EPERM to all others."""
    install(rules(profile))


def install(code: "list[tuple[int, int, int, int]]") -> None:
    """Put a filter in force, for this thread and all that come of it."""
    program = b"".join(
        op.to_bytes(2, "little") + bytes((yes, no)) + value.to_bytes(4, "little")
        for op, yes, no, value in code
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = (ctypes.c_uint64 * 2)(len(program) // 8, ctypes.addressof(buffer))
    if _libc.syscall(_number("seccomp"), 1, 0, fprog) != 0:
        raise _os_error()


def rules(profile: str) -> "list[tuple[int, int, int, int]]":
    """Return the filter of a profile as classic BPF for this machine's architecture."""
    allowed = {_number(name) for name in PROFILES[profile]} - {-1}
    killing = {_number(name) for name in KILLING} - {-1}
    code = [
        (_LOAD, 0, 0, 4),
        (_JEQ, 1, 0, _AUDIT_ARCH),
        (_RET, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        # clone3 hides its flags from us: libc falls back to clone.
        (_JEQ, 0, 1, _number("clone3")),
        (_RET, 0, 0, _ERRNO | 38),
    ]
    if profile == "runner":
        # Processes and threads, but no new namespaces by clone.
        code += [
            (_JEQ, 0, 4, _number("clone")),
            (_LOAD, 0, 0, 16),
            (_JSET, 0, 1, 0x7E020000),
            (_RET, 0, 0, _ERRNO | 1),
            (_RET, 0, 0, _ALLOW),
        ]
    else:
        # Threads only.
        code += [
            (_JEQ, 0, 4, _number("clone")),
            (_LOAD, 0, 0, 16),
            (_JSET, 0, 1, 0x00010000),
            (_RET, 0, 0, _ALLOW),
            (_RET, 0, 0, _ERRNO | 1),
        ]
    for number in _ordered(allowed):
        code += [(_JEQ, 0, 1, number), (_RET, 0, 0, _ALLOW)]
    for number in sorted(killing):
        code += [(_JEQ, 0, 1, number), (_RET, 0, 0, _KILL)]
    code.append((_RET, 0, 0, _ERRNO | 1))
    return code


def main(plan: "dict[str, Any]", command: "Sequence[str]") -> None:
    """Enter the jail and become `command`, with an empty environment; never returns."""
    try:
        os.closerange(3, min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1 << 20))
        target = os.open(command[0], os.O_RDONLY | os.O_CLOEXEC)
        enter(plan, open_grants(plan))
        os.execve(target, list(command), {})  # noqa: S606 - no shell is the point
    except (OSError, LayerMissing) as error:
        os.write(2, f"jail: {error}\n".encode())
        os._exit(EXIT_REFUSED)


def _limit(plan: "dict[str, Any]") -> None:
    for name, value in plan.get("limits", {}).items():
        which = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(which)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (most, most))
    if plan.get("nice"):
        os.nice(plan["nice"])


def _ordered(numbers: "set[int]") -> "list[int]":
    """List the numbers, those that are called all the time first."""
    often = [_number(name) for name in _NAMES[:12]]
    return [n for n in often if n in numbers] + sorted(numbers.difference(often))


def _number(name: str) -> int:
    number = SYSCALLS[name][0 if _x86 else 1]
    return -1 if number is None else number


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise _os_error()


def _os_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CLONE_NEWUTS, _CLONE_NEWIPC = 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_LOAD, _JEQ, _JSET, _RET = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


def probe() -> None:
    """Try every layer on this process and print what the kernel lacks; never returns."""
    plan = {"profile": "worker", "required": (), "nobody": False}
    version = landlock_version()
    missing = enter(plan, [])
    os.write(1, " ".join([str(version), *missing]).encode())
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "--probe":
        probe()
    main(marshal.loads(bytes.fromhex(sys.argv[1])), sys.argv[3:])  # noqa: S302 - our own argument
