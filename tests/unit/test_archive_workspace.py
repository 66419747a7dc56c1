"""A working folder: private, gone afterwards, and never taken from one who is at work."""

import subprocess
import sys
from pathlib import Path

import pytest

from proxy.archive.workspace import workspace

HOLD = """
import sys
from pathlib import Path
from proxy.archive.workspace import workspace
with workspace(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_it_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with workspace(tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").touch()
    with pytest.raises(ZeroDivisionError), workspace(tmp_path) as folder:
        (folder / "file").write_text(str(1 / 0))
    assert list(tmp_path.iterdir()) == []


def test_another_process_at_work_keeps_its_own_and_a_killed_one_does_not(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        other = Path(process.stdout.readline().strip())
        with workspace(tmp_path):
            assert other.exists()
        process.kill()
        process.communicate()
    assert other.exists()
    with workspace(tmp_path):
        assert not other.exists()


def test_what_is_no_folder_of_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".wicketgate-unfinished-linklink").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".wicketgate-unfinished-filefile").touch()
    with workspace(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".wicketgate-unfinished-filefile",
        ".wicketgate-unfinished-linklink",
        "elsewhere",
    ]


@pytest.mark.parametrize("name", [".wicketgate-backups", ".wicketgate-unfinished-backups"])
def test_a_folder_that_somebody_named_much_like_ours_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "last.backup").touch()
    with workspace(tmp_path):
        pass
    assert (tmp_path / name / "last.backup").exists()
