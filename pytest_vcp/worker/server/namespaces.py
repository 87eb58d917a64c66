"""Linux namespaces: no network, and directories that are hidden, read-only, or private.

They apply to C code, too.

Everything is tried in a forked child first, since a failure halfway could not be undone. Where the
kernel refuses (no privilege, no user namespaces, another system), the caller falls back to the
audit hook.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import socket
import struct
import sys
from dataclasses import dataclass, replace

from .audit import is_within

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000

_MS_RDONLY = 1
_MS_REMOUNT = 32
_MS_BIND = 4096
_MS_REC = 16384
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2
# Flags that a user namespace may not clear on a mount, where they are set.
_KEPT_FLAGS = 2 | 4 | 8 | 1024 | 2048

# Linux only, like all of this module, which must still be importable everywhere.
_O_PATH: int = getattr(os, "O_PATH", 0)

# Devices and process information: writes there leave no files.
_OF_THE_KERNEL = ("/dev", "/proc")

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


@dataclass(frozen=True)
class Wanted:
    """The conditions to enforce. All paths are absolute and exist; only `visible` may have links.

    `writable` are the only directories that may be written to, None for all; `read_only` takes
    precedence. They are mounted over themselves for that, so no hard link can lead out of them.
    Files written below `private`, but not below `public`, are invisible to other processes.
    """

    network: bool
    hidden: tuple[str, ...]
    visible: tuple[str, ...]
    read_only: tuple[str, ...]
    writable: tuple[str, ...] | None = None
    private: tuple[str, ...] = ()
    public: tuple[str, ...] = ()

    @property
    def files(self) -> bool:
        """Whether any of the conditions requires mounts."""
        return bool(self.hidden or self.read_only or self.private) or self.writable is not None


@dataclass(frozen=True)
class Entered:
    """The conditions in force: no network, those on files, and whether by a user namespace.

    `private` are the directories that are private; a failure there does not prevent the other
    conditions.
    """

    network: bool = False
    files: bool = False
    user: bool = False
    private: tuple[str, ...] = ()


def enter(wanted: Wanted) -> Entered:
    """Enter the namespaces that the kernel allows; the process must have one thread."""
    if not sys.platform.startswith("linux"):
        return Entered()
    both = Entered(network=wanted.network, files=wanted.files)
    plans = dict.fromkeys((both, replace(both, files=False), replace(both, network=False)))
    for plan in plans:
        if not (plan.network or plan.files):
            continue
        for attempt in (plan, replace(plan, user=True)):
            if _works(attempt, wanted):
                return replace(attempt, private=_enter(attempt, wanted))
    return Entered()


def _works(plan: Entered, wanted: Wanted) -> bool:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _enter(plan, wanted)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return status == 0


def _enter(plan: Entered, wanted: Wanted) -> tuple[str, ...]:
    """Enter the namespaces of the plan; return the directories that are now private."""
    user, group = os.getuid(), os.getgid()
    flags = _CLONE_NEWNET if plan.network else 0
    flags |= _CLONE_NEWNS if plan.files else 0
    flags |= _CLONE_NEWUSER if plan.user else 0
    _check(_libc().unshare(flags), "unshare")
    if plan.user:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    if plan.network:
        _bring_up_loopback()
    private: tuple[str, ...] = ()
    if plan.files:
        # This comes first, so that no mount below propagates to the system's own table.
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
        private = _make_private(wanted.private, wanted.public, plan.user)
        if wanted.writable is not None:
            _bind_each(wanted.writable)
        _hide_all(wanted.hidden, wanted.visible)
        if wanted.writable is not None:
            _protect_all_but(wanted.writable)
        for root in wanted.read_only:
            _protect(root)
    # The working directory still points into the old mounts.
    with contextlib.suppress(OSError):
        os.chdir("/")
    return private


def _make_private(roots: tuple[str, ...], public: tuple[str, ...], user: bool) -> tuple[str, ...]:
    """Hide files written below `roots` from other processes; return the roots where that worked.

    Existing files can be read as before. The `public` directories stay shared, together with the
    complete top-level entries of `roots` that contain them, since no file can be linked or renamed
    from one mount into another.
    """
    tops = sorted({top for path in public for root in roots for top in _first_below(root, path)})
    held = [(path, os.open(path, _O_PATH)) for path in tops]
    made = []
    try:
        for root in roots:
            # An older kernel, or one without this file system, refuses.
            with contextlib.suppress(OSError):
                _overlay(root, user)
                made.append(root)
        for path, descriptor in held:
            if any(is_within(path, root) for root in made):
                _mount(f"/proc/self/fd/{descriptor}", path, None, _MS_BIND | _MS_REC)
    finally:
        for _, descriptor in held:
            os.close(descriptor)
    return tuple(made)


def _first_below(root: str, path: str) -> list[str]:
    """Return the entry of `root` that contains `path`, or is it; empty where it is elsewhere."""
    if path == root or not is_within(path, root):
        return []
    return [os.path.join(root, os.path.relpath(path, root).split(os.sep)[0])]


def _overlay(root: str, user: bool) -> None:
    """Mount an overlay in memory over `root`, which shows existing files and takes new ones."""
    below = os.open(root, _O_PATH)
    try:
        mode = os.stat(root).st_mode & 0o7777
        _mount("tmpfs", root, "tmpfs", 0, "mode=755")
        try:
            upper, work = os.path.join(root, "upper"), os.path.join(root, "work")
            for path in (upper, work):
                os.mkdir(path)
            os.chmod(upper, mode)
            options = f"lowerdir=/proc/self/fd/{below},upperdir={upper},workdir={work}"
            # Without privileges, the overlay must store its metadata in user.* attributes.
            _mount("overlay", root, "overlay", 0, options + (",userxattr" if user else ""))
        except OSError:
            _check(_libc().umount2(os.fsencode(root), _MNT_DETACH), f"unmount {root}")
            raise
    finally:
        os.close(below)


def _hide_all(hidden: tuple[str, ...], visible: tuple[str, ...]) -> None:
    # All are opened before anything is hidden: a link may lead from one hidden tree to another.
    held = [(path, os.path.isdir(path), os.open(path, _O_PATH)) for path in visible]
    try:
        for root in hidden:
            # A root that is itself visible, such as an input that is a directory, stays. A visible
            # parent makes nothing visible: it may contain the interpreter as well as the source.
            if root not in visible:
                _hide(root, [entry for entry in held if is_within(entry[0], root)])
    finally:
        for _, _, descriptor in held:
            os.close(descriptor)


def _hide(root: str, visible: list[tuple[str, bool, int]]) -> None:
    """Mount an empty read-only directory over `root`, with the `visible` entries restored.

    Each visible entry is a path, whether it is a directory, and a descriptor of it.
    """
    if not os.path.isdir(root):
        raise OSError(f"{root} is not a directory")
    _mount("tmpfs", root, "tmpfs", 0, "size=1m,mode=755")
    for path, is_directory, descriptor in visible:
        # A restored tree includes its own contents.
        if not any(path != other and is_within(path, other) for other, _, _ in visible):
            _make_place(path, is_directory)
            _mount(f"/proc/self/fd/{descriptor}", path, None, _MS_BIND | _MS_REC)
    _mount(None, root, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY)


def _make_place(path: str, is_directory: bool) -> None:
    if is_directory:
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def _protect(root: str) -> None:
    if not os.path.exists(root):
        # It is within a hidden tree, which is itself read-only.
        return
    _mount(root, root, None, _MS_BIND | _MS_REC)
    _make_read_only(root)


def _bind_each(roots: tuple[str, ...]) -> None:
    """Make each directory a separate mount, which changes around it do not affect."""
    for root in roots:
        if not any(root != other and is_within(root, other) for other in roots):
            _mount(root, root, None, _MS_BIND | _MS_REC)


def _protect_all_but(writable: tuple[str, ...]) -> None:
    """Make every mount read-only that is neither below a writable directory nor the kernel's own.

    Except for the root, a mount may be unreachable, or its driver may refuse the change.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        mounts = [_unescape(line.split()[4]) for line in table]
    for mount in dict.fromkeys(mounts):
        if any(is_within(mount, root) for root in (*writable, *_OF_THE_KERNEL)):
            continue
        with contextlib.suppress(*(() if mount == "/" else (OSError,))):
            _make_read_only(mount)


def _make_read_only(mount: str) -> None:
    kept = os.statvfs(mount).f_flag & _KEPT_FLAGS
    _mount(None, mount, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)


def _unescape(mount: str) -> str:
    """Decode a path from the table of mounts, which writes blanks and backslashes in octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), mount)


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    result = _libc().mount(
        _bytes(source), os.fsencode(target), _bytes(kind), ctypes.c_ulong(flags), _bytes(options)
    )
    _check(result, f"mount {target}")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, action: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{action}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
