"""Which file system a path is on: SQLite's locks hold on local ones only."""

from __future__ import annotations

import re
from pathlib import Path

NETWORK = frozenset(
    (
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.cephfs",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    )
)
"""File systems that several machines may share, whose locks cannot be relied on."""

_TABLE = Path("/proc/self/mounts")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def read_mounts() -> str:
    """Return the kernel's table of mounts, or nothing where there is no such table."""
    return _TABLE.read_text(encoding="utf-8", errors="surrogateescape") if _TABLE.exists() else ""


def file_system(path: Path, mounts: str) -> str | None:
    """Return the type of the file system that *path* is on, if the table tells."""
    place, found = path.resolve(), None
    longest = -1
    for line in mounts.splitlines():
        _, escaped, kind, *_ = line.split(" ")
        mount = Path(_ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), escaped))
        # A later mount on the same point hides the earlier one.
        if place.is_relative_to(mount) and len(mount.parts) >= longest:
            longest, found = len(mount.parts), kind
    return found
