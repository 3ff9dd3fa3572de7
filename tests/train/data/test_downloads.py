"""CIFAR-100, in small, from a local server: progress, interruptions, wrong files, full disks."""

from __future__ import annotations

import dataclasses
import errno
import re
import tarfile
import threading

import filelock
import pytest
from cifar_server import ARCHIVE, FOLDER, served_cifar, use

from roadmap.train.data import downloads
from roadmap.train.data.images import DataError
from roadmap.train.data.sources import open_source

NAME = "torch/cifar100"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The server; what is downloaded goes to ``tmp_path/data``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(downloads, "START", tmp_path)
    with served_cifar() as site:
        site.pause = 0
        known = dataclasses.replace(downloads.DOWNLOADS[NAME], size=site.size)
        monkeypatch.setitem(downloads.DOWNLOADS, NAME, known)
        use(site, monkeypatch)
        yield site


def here() -> int:
    return downloads.DOWNLOADS[NAME].here


def left(tmp_path) -> set[str]:
    """What is in the folder of the data, without the lock."""
    return {path.name for path in (tmp_path / "data").iterdir() if path.suffix != ".lock"}


def refusal() -> str:
    with pytest.raises(DataError) as refused:
        open_source(NAME)
    text = str(refused.value)
    assert text.startswith(f"{NAME} is not available: ")
    assert "\n" not in text
    return text


def is_whole() -> bool:
    source = open_source(NAME)
    return (len(source.train.labels), len(source.val.labels)) == (320, 80)


def test_it_says_what_it_downloads_and_progress_can_be_seen(site, capsys):
    site.pause = 0.05
    seen, ended = {here()}, threading.Event()  # the thread may begin late

    def watch():
        while not ended.is_set():
            seen.add(here())

    watching = threading.Thread(target=watch)
    watching.start()
    assert is_whole()
    ended.set()
    watching.join()
    seen.add(here())
    assert {0, site.size} < seen
    assert len(seen) > 4
    said = capsys.readouterr().err
    assert "Downloading CIFAR-100 from localhost" in said
    assert "to data/: 1 MB." in said
    assert is_whole()  # and nothing is downloaded again
    assert site.asked == [0]
    assert "Downloading" not in capsys.readouterr().err


def test_an_interrupted_download_says_how_to_continue_and_continues(site, tmp_path, capsys):
    site.ends_after = site.size // 2
    said = r"the connection ended after \d of 1 MB; the same command continues the download$"
    assert re.search(said, refusal())
    assert left(tmp_path) == {f"{ARCHIVE}.partial"}
    assert here() == site.size // 2
    assert is_whole()
    assert site.asked == [0, site.size // 2]
    assert "MB are here." in capsys.readouterr().err
    assert left(tmp_path) == {ARCHIVE, FOLDER}


def test_a_server_that_cannot_continue_sends_the_file_again(site):
    site.ends_after = site.size // 2
    refusal()
    site.has_ranges = False
    assert is_whole()


def test_a_download_that_was_killed_before_its_last_step_is_finished(site, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / f"{ARCHIVE}.partial").write_bytes(site.content)
    assert is_whole()
    assert site.asked == [site.size]


def test_a_wrong_file_is_one_sentence_and_is_not_kept(site, tmp_path):
    right = site.content
    site.content = right[:-8] + b"\0" * 8
    text = refusal()
    assert f"{site.url} sent a file that is not CIFAR-100" in text
    assert "the file was deleted, so the same command downloads it again" in text
    assert left(tmp_path) == set()
    assert here() == 0
    site.content = right
    assert is_whole()


def test_an_archive_that_was_damaged_on_the_disk_is_downloaded_again(site, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ARCHIVE).write_bytes(site.content[:1000])
    assert is_whole()
    assert site.asked == [0]


def test_a_full_disk_leaves_no_half_folder(site, tmp_path, monkeypatch):
    def fill(packed, to):
        packed.extract(packed.getmembers()[0], to)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extractall", fill)
        assert refusal().endswith("No space left on device")
    assert left(tmp_path) == {ARCHIVE}
    assert is_whole()
    assert site.asked == [0]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("folder", [FOLDER, f"{FOLDER}.partial"])
def test_half_a_folder_of_a_killed_process_is_replaced(tmp_path, folder):
    half = tmp_path / "data" / folder
    half.mkdir(parents=True)
    (half / "train").write_bytes(b"half")
    assert is_whole()
    assert left(tmp_path) == {ARCHIVE, FOLDER}


def test_two_processes_at_once_download_once(site):
    site.pause = 0.05
    both = [threading.Thread(target=open_source, args=[NAME]) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert site.asked == [0]
    assert is_whole()


@pytest.mark.usefixtures("site")
def test_it_works_on_file_systems_without_locks(monkeypatch):
    def refuse(*_arguments, **_options):
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    assert is_whole()


@pytest.mark.usefixtures("site")
def test_no_server_and_no_file_are_sentences(monkeypatch):
    from torchvision.datasets import CIFAR100

    monkeypatch.setattr(CIFAR100, "url", "http://localhost:9/cifar-100-python.tar.gz")
    assert refusal().endswith("localhost:9 cannot be reached: Connection refused")
    monkeypatch.setattr(CIFAR100, "url", "http://nobody.invalid/cifar-100-python.tar.gz")
    assert "nobody.invalid cannot be reached: " in refusal()
    assert "urlopen" not in refusal()
