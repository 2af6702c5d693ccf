"""rclone copies a tree to the file server and back, again and again.

Its go-smb2 breaks the connection at an unsigned interim response: straight at an smbd that requires
signing it fails in every run. Behind the proxy, which holds such responses back, it must not fail at
all. How long they have to be held back depends on how fast the file server is; here it shares its
processors with everything else, so the hold is raised, as proxy.yaml advises where go-smb2 still
breaks.

COUNTERSIGN_LONG=1 makes it 20 runs instead of 3.
"""

import filecmp
import os
import random

import pytest

from rig import Rig
from smbtools import Rclone

FILES = 200
LONG = os.environ.get("COUNTERSIGN_LONG")
RUNS = 20 if LONG else 3
# The default is what users have. How long a file server takes where much else goes on is not for a
# test to decide: then as long as the proxy can be told to.
HOLD = 1000 if LONG else 10_000


@pytest.fixture(scope="module")
def module_rig(nas):
    with Rig(nas, extra={"limits": {"interim_hold": HOLD}}) as arrangement:
        yield arrangement


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """200 files in directories of several depths: empty, tiny, and more than one READ each."""
    top = tmp_path_factory.mktemp("tree") / "tree"
    chance = random.Random(200)
    for number in range(FILES):
        directory = top.joinpath(*[f"d{chance.randrange(4)}" for _ in range(chance.randrange(4))])
        directory.mkdir(parents=True, exist_ok=True)
        size = chance.choice([0, 1, 100, 4096, 70000, 300000])
        (directory / f"file {number} é.bin").write_bytes(chance.randbytes(size))
    return top


def all_files(top):
    """The relative path of everything below."""
    return sorted(os.path.relpath(os.path.join(path, name), top)
                  for path, directories, names in os.walk(top) for name in names + directories)


def differences(first, second):
    """What is in one only, or not the same in both, byte for byte."""
    names = all_files(first)
    if names != all_files(second):
        return set(names) ^ set(all_files(second))
    files = [name for name in names if os.path.isfile(os.path.join(first, name))]
    assert len(files) == FILES
    return set(files) - set(filecmp.cmpfiles(first, second, files, shallow=False)[0])


def copy_both_ways(rclone, server, tree, scratch, run):
    """One run, there and back; what went wrong, or nothing."""
    filecmp.clear_cache()
    there, back = f"nas:data/run{run}", scratch / f"back{run}"
    for source, target, arrived in ((tree, there, f"{server.share}/run{run}"), (there, back, back)):
        done = rclone.run("copy", str(source), str(target), "--transfers", "8", seconds=120)
        if done.returncode != 0:
            return done.stderr[-2000:]
        wrong = differences(tree, arrived)
        if wrong:
            return f"not the same: {sorted(wrong)[:5]}"
    server.empty_share()
    return ""


@pytest.mark.parametrize("run", range(RUNS))
def test_tree_both_ways(rig, tree, tmp_path, run):
    rclone = Rclone(str(tmp_path), *rig.direct)
    problem = copy_both_ways(rclone, rig.server, tree, tmp_path, run)
    assert not problem, problem + str(rig.proxy.seen("link_ended"))
    assert not [event for event in rig.proxy.seen() if event["severity"] in ("warning", "error")]
    ends = rig.proxy.seen("link_ended")
    assert ends and {event["reason"] for event in ends} == {"client_closed"}
