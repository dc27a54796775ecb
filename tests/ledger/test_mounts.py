"""Which file system a path is on."""

from __future__ import annotations

from pathlib import Path

import pytest

from agcod_async.ledger import mounts

TABLE = """\
/dev/sda1 / ext4 rw,relatime 0 0
server:/export /srv nfs4 rw 0 0
/dev/sdb1 /srv/local xfs rw 0 0
//host/share /mnt/with\\040space cifs rw 0 0
/dev/sdc1 /over ext4 rw 0 0
server:/x /over fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/rewards.db", "ext4"),
        ("/srv/rewards.db", "nfs4"),
        ("/srv/local/rewards.db", "xfs"),
        ("/srv/localish/rewards.db", "nfs4"),
        ("/mnt/with space/rewards.db", "cifs"),
        ("/over/rewards.db", "fuse.sshfs"),
    ],
)
def test_the_innermost_and_latest_mount_counts(path, kind):
    """A local disk inside a share is local, and a share mounted over a disk is a share."""
    assert mounts.file_system(Path(path), TABLE) == kind


def test_no_table_tells_nothing(monkeypatch, tmp_path):
    """Where the kernel has no such table, the ledger works, unchecked."""
    monkeypatch.setattr(mounts, "_TABLE", tmp_path / "absent")
    assert mounts.file_system(tmp_path, mounts.read_mounts()) is None


def test_this_machine_has_a_root():
    """The real table can be read."""
    if not Path("/proc/self/mounts").exists():
        pytest.skip("no /proc/self/mounts: not Linux")
    assert mounts.file_system(Path("/"), mounts.read_mounts())
