"""Finds the sockets and pages of partitions, and checks who may have put them there."""

from __future__ import annotations

import os
import stat

MACHINE = "/run/hotadd"


def runtime_dir() -> str:
    """The folder in which the partitions of this user listen."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(base):
        return os.path.join(base, "hotadd")
    user = f"/run/user/{os.geteuid()}"
    return os.path.join(user, "hotadd") if os.path.isdir(user) else f"/tmp/hotadd-{os.geteuid()}"


def find(name: str, suffix: str = "") -> str:
    """The path for a partition's name: in this user's folder, or else the machine's. A name with a slash is a path already.

    Raises FileNotFoundError if there is no such file, PermissionError if another user may have put it there. For a path only the
    file itself is checked: the folder is the caller's choice.
    """
    if "/" in name:
        if _is_ours(os.lstat(name)):
            return name
        raise PermissionError(f"{name} belongs to user {os.lstat(name).st_uid}, and neither to root nor to this user")
    for folder in (runtime_dir(), MACHINE):
        path = os.path.join(folder, name + suffix)
        try:
            found, above = os.lstat(path), os.lstat(folder)
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(above.st_mode) or above.st_mode & 0o022 or not (_is_ours(above) and _is_ours(found)):
            raise PermissionError(f"{path} is not trusted: another user may have put it there")
        return path
    raise FileNotFoundError(f"there is no partition {name} in {runtime_dir()} or {MACHINE}")


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.geteuid())
