"""The drop folder: what is left in it, and what a daemon makes of that."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sender.clock import Clock
from sender.core.options import NO_OPTIONS, Options
from sender.intake.acceptance import Acceptance
from sender.intake.drop import DropFolder
from sender.intake.dropped import leave
from sender.intake.letter import Letter
from sender.intake.pressure import Pressure
from sender.observe.events import Events
from sender.observe.metrics import Metrics
from sender.settings import Settings, from_tables
from sender.spool.sqlite import Role, SqliteSpool, open_spool

_CRASHES = Path(__file__).with_name("crash_drop.py")
_USER = pwd.getpwuid(os.getuid()).pw_name
_CONTENT = b"Subject: x\r\n\r\nbody\r\n"
_HEAD = {"mail_from": "ann@mail.test", "rcpt_tos": ["a@b.test", "c@d.test"]}


@dataclass
class Office:
    """A spool with a drop folder."""

    settings: Settings
    spool: SqliteSpool
    pressure: Pressure
    acceptance: Acceptance
    folder: DropFolder
    spool_open: bool = True

    async def close_spool(self) -> None:
        """Close the spool, once."""
        if self.spool_open:
            self.spool_open = False
            await self.spool.close(clean=True)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.settings.drop_path

    @property
    def files(self) -> list[str]:
        """What is in it."""
        return sorted(path.name for path in self.path.iterdir())

    def put(self, name: str, head: Any = _HEAD, content: bytes = _CONTENT) -> Path:  # noqa: ANN401 - JSON
        """Put a file there, as anybody may write one."""
        path = self.path / name
        line = head if isinstance(head, bytes) else json.dumps(head).encode() + b"\n"
        path.write_bytes(line + content)
        return path

    def rows(self, statement: str) -> list[Any]:
        """Read the spool's file."""
        with closing(sqlite3.connect(self.settings.spool_path)) as database:
            return database.execute(statement).fetchall()

    @property
    def messages(self) -> int:
        """Count the messages in the spool."""
        return int(self.rows("SELECT count(*) FROM messages")[0][0])


def letter(content: bytes = _CONTENT, **fields: Any) -> Letter:  # noqa: ANN401 - any field
    """Write a letter."""
    known: dict[str, Any] = {"mail_from": "ann@mail.test", "rcpt_tos": ("a@b.test", "c@d.test"), "options": NO_OPTIONS}
    return Letter(content=content, **(known | fields))


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Give an office whose folder is open."""
    tables = {"hostname": "mail.test", "smtp": {"max_message_size": "300KiB"}, "spool": {"min_free": "1B"}}
    settings = from_tables(tables, tmp_path / "sender.toml")
    clock = Clock()
    spool = await open_spool(settings.spool_path, Role.INTAKE, now=clock.wall(), commit_interval_s=0)
    pressure = Pressure(settings, spool)
    acceptance = Acceptance(settings, spool, clock, Metrics(), Events(), pressure)
    folder = DropFolder(acceptance)
    await folder.open()
    office = Office(settings, spool, pressure, acceptance, folder)
    yield office
    await office.close_spool()


async def test_everybody_may_add_a_file_and_nobody_may_list_them(office: Office) -> None:
    """The folder is made so; files get its group, and only who left one may remove it."""
    assert stat.S_IMODE(office.path.stat().st_mode) == 0o3733
    assert office.path.parent.stat().st_mode & stat.S_IXOTH


async def test_a_folder_that_is_there_keeps_its_mode(office: Office) -> None:
    """An operator may let fewer in."""
    office.path.chmod(0o1730)
    await DropFolder(office.acceptance).open()
    assert stat.S_IMODE(office.path.stat().st_mode) == 0o1730


@pytest.mark.parametrize("umask", [0o077, 0o000])
async def test_a_file_is_for_its_owner_and_the_daemon(office: Office, umask: int) -> None:
    """Its mode is 0640 whatever the umask is, and nothing else is left."""
    before = os.umask(umask)
    try:
        leave(office.path, letter())
    finally:
        os.umask(before)
    (name,) = office.files
    assert name.endswith(".mail")
    assert stat.S_IMODE((office.path / name).stat().st_mode) == 0o640


def test_nothing_is_left_where_nothing_can_be(tmp_path: Path) -> None:
    """A folder that is not there is an error for who leaves a message, and so are too many recipients."""
    with pytest.raises(FileNotFoundError):
        leave(tmp_path / "none", letter())
    with pytest.raises(OSError, match="too many recipients"):
        leave(tmp_path, letter(rcpt_tos=("a" * 60 + "@b.test",) * 200_000))
    assert list(tmp_path.iterdir()) == []


async def test_what_was_left_is_taken(office: Office) -> None:
    """Envelope and content are those of the letter; who left the file is said where it comes from."""
    options = Options(returns="HDRS", envelope_id="a+2Bb")
    leave(office.path, letter(options=options, notify="DELAY"))
    await office.folder.take_all()
    assert office.files == []
    ((mail_from, listener, stored, content),) = office.rows(
        "SELECT mail_from, listener, options, content FROM messages JOIN contents ON message_id = id"
    )
    assert (mail_from, listener) == ("ann@mail.test", "drop")
    assert json.loads(stored) == {"returns": "HDRS", "envelope_id": "a+2Bb", "submitter": _USER}
    assert office.rows("SELECT rcpt_to, dsn FROM recipients ORDER BY id") == [
        ("a@b.test", "NOTIFY=DELAY"),
        ("c@d.test", "NOTIFY=DELAY"),
    ]
    head, _, rest = content.partition(b"\r\nDate: ")
    assert head.startswith(f"Received: from {_USER}\r\n\tby mail.test (sender ".encode())
    assert b" with local id " in head
    assert b"@mail.test>\r\n" + _CONTENT in rest


async def test_a_message_of_many_blocks_is_taken_whole(office: Office) -> None:
    """However large it is, and whatever is in it."""
    content = b"Date: x\r\nMessage-ID: y\r\n\r\n" + bytes(range(1, 10)) * 100 + b"\xff.\r\n" + b".\r\n" * 95_000
    leave(office.path, letter(content=content, mail_from="", rcpt_tos=("jörg@b.test",)))
    await office.folder.take_all()
    ((message_id, first, smtputf8),) = office.rows(
        "SELECT id, content, smtputf8 FROM messages JOIN contents ON message_id = id"
    )
    blocks = office.rows(f"SELECT content FROM blocks WHERE message_id = {message_id} ORDER BY number")  # noqa: S608
    assert b"".join((first, *(block for (block,) in blocks))).endswith(content)
    assert smtputf8 == 1


_BAD_HEADS: dict[str, Any] = {
    "no JSON": b"From: a@b.test\n",
    "no end": b'{"mail_from": "a@b.test"}',
    "no object": [],
    "nothing": b"",
    "no key": {"mail_from": "a@b.test"},
    "an unknown key": {**_HEAD, "bcc": "x"},
    "another type": {**_HEAD, "rcpt_tos": "a@b.test"},
    "no recipients": {**_HEAD, "rcpt_tos": []},
    "a bad sender": {**_HEAD, "mail_from": "a@b.test> SIZE=1"},
    "a bad recipient": {**_HEAD, "rcpt_tos": ["a@b.test", "a@b.test\r\nDATA"]},
    "NUL": {**_HEAD, "rcpt_tos": ["a\0@b.test"]},
    "a bad NOTIFY": {**_HEAD, "notify": "NEVER\r\nDATA"},
    "a bad RET": {**_HEAD, "returns": "ALL"},
    "a bad ENVID": {**_HEAD, "envelope_id": "a b"},
    "a deep head": b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("name", _BAD_HEADS)
async def test_x11_a_file_with_a_bad_envelope_is_set_aside(
    office: Office, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is kept and named in the log, and what is beside it is taken."""
    bad = office.put("bad.mail", _BAD_HEADS[name])
    before = bad.read_bytes()
    leave(office.path, letter())
    await office.folder.take_all()
    (aside,) = office.files
    assert (aside.startswith("bad."), aside.endswith(".bad")) == (True, True)
    assert (office.path / aside).read_bytes() == before
    assert office.messages == 1
    assert f"{bad}: set aside as {aside}: " in caplog.text
    assert "a fault of ours" not in caplog.text
    await office.folder.take_all()
    assert office.files == [aside]


@pytest.mark.parametrize(
    "content", [b"a\0b\r\n", b"x" * 301 * 1024, b"X-Sender-Priority: at once\r\n\r\n", b"Received: x\r\n" * 101]
)
async def test_x11_content_that_is_refused_is_set_aside(office: Office, content: bytes) -> None:
    """The rules are those of every way in; nothing of it stays in the spool."""
    office.put("bad.mail", content=content)
    await office.folder.take_all()
    assert [name.endswith(".bad") for name in office.files] == [True]
    assert office.messages == 0
    assert office.rows("SELECT count(*) FROM blocks") == [(0,)]
    assert office.acceptance.metrics.render()[0].count(b'sender_messages_refused_total{listener="drop"') == 1


async def test_x11_what_is_no_plain_file_is_neither_followed_nor_waited_for(office: Office, tmp_path: Path) -> None:
    """Links, pipes, sockets and folders are set aside as what they are."""
    outside = office.put("a.mail").rename(tmp_path / "outside")
    (office.path / "link.mail").symlink_to(outside)
    os.mkfifo(office.path / "pipe.mail")
    (office.path / "folder.mail").mkdir()
    (office.path / "hard.mail").hardlink_to(outside)
    (office.path / "loop.mail").symlink_to("loop.mail")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(office.path, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{here}/socket.mail")
        os.close(here)
        async with asyncio.timeout(10):
            await office.folder.take_all()
    assert {name.partition(".")[0] for name in office.files} == {"link", "pipe", "folder", "hard", "loop", "socket"}
    assert all(name.endswith(".bad") for name in office.files)
    assert (office.messages, outside.exists()) == (0, True)


async def test_a_huge_file_is_not_read(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot become a message is told by its size."""
    with office.put("huge.mail").open("ab") as file:
        file.truncate(2**40)
    async with asyncio.timeout(10):
        await office.folder.take_all()
    assert [name.endswith(".bad") for name in office.files] == [True]
    assert "is larger than 307200 bytes" in caplog.text


async def test_other_files_are_left_alone(office: Office) -> None:
    """What is being written, what was set aside, and what has another name."""
    names = {"a.tmp", "b.1234.bad", "README", ".mail", "a b.mail", "x\x1b\n.mail", f"{'y' * 65}.mail"}
    for name in names:
        office.put(name)
    await office.folder.take_all()
    assert set(office.files) == names


async def test_a_file_that_nobody_finishes_is_removed(office: Office) -> None:
    """Who wrote it was told of no success; one that is new may still be written."""
    for name, age_s in (("old.tmp", 90_000), ("new.tmp", 80_000)):
        os.utime(office.put(name), (0, time.time() - age_s))
    await office.folder.take_all()
    assert office.files == ["new.tmp"]


async def test_a_file_that_was_taken_before_is_not_taken_again(office: Office) -> None:
    """A process that ended between commit and removal leaves a receipt."""
    path = office.put("a.mail")
    whole = path.read_bytes()
    await office.folder.take_all()
    path.write_bytes(whole)
    await DropFolder(office.acceptance).take_all()
    assert (office.messages, office.files) == (1, [])


async def test_another_message_under_a_used_name_is_kept_for_a_person(office: Office) -> None:
    """It is not lost, and not taken for what was taken before."""
    office.put("a.mail")
    await office.folder.take_all()
    office.put("a.mail", content=b"other\r\n")
    await office.folder.take_all()
    assert office.messages == 1
    assert [name.endswith(".bad") for name in office.files] == [True]


async def test_a_file_that_cannot_be_removed_is_taken_once(office: Office) -> None:
    """Also where the receipt has been forgotten meanwhile."""
    office.put("a.mail")
    with pytest.MonkeyPatch.context() as disk:
        disk.setattr(Path, "unlink", _read_only)
        for _ in range(2):
            await office.folder.take_all()
            await office.spool.forget_receipts(2e10)
    assert (office.messages, office.files) == (1, ["a.mail"])
    await office.folder.take_all()
    assert (office.messages, office.files) == (1, [])


def _read_only(path: Path, *, missing_ok: bool = False) -> None:
    raise OSError(30, "Read-only file system", str(path))


async def test_two_processes_take_each_message_once(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever comes second finds the receipt, or no file, and has nothing to say about that."""
    for number in range(60):
        office.put(f"{number}.mail", content=b"%d\r\n" % number)
    await asyncio.gather(office.folder.take_all(), DropFolder(office.acceptance).take_all())
    assert (office.messages, office.files) == (60, [])
    assert [record for record in caplog.records if record.name.startswith("sender")] == []


async def test_the_oldest_are_taken_first(office: Office) -> None:
    """A few at a time; files tell their age, and not their names."""
    for age in range(60):
        os.utime(office.put(f"{age}.mail", content=b"Subject: %d\r\n\r\n" % age), (0, 1_000_000 - age))
    await office.folder.take_all()
    contents = office.rows("SELECT content FROM contents ORDER BY message_id")
    ages = [int(content.partition(b"Subject: ")[2].split()[0]) for (content,) in contents]
    assert [age // 20 for age in ages] == [2] * 20 + [1] * 20 + [0] * 20


async def test_nothing_is_taken_while_there_is_no_room(office: Office) -> None:
    """The message stays where it is, and is taken when there is room again."""
    office.put("a.mail")
    office.pressure.why = "the disk is nearly full"
    await office.folder.take_all()
    assert (office.messages, office.files) == (0, ["a.mail"])
    office.pressure.why = ""
    await office.folder.take_all()
    assert (office.messages, office.files) == (1, [])


async def test_a_spool_that_fails_leaves_mail_for_later(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and not at every look."""
    office.put("a.mail")
    await office.close_spool()
    await office.folder.take_all()
    await office.folder.take_all()
    assert office.files == ["a.mail"]
    assert caplog.text.count("is left for later") == 1


async def test_a_folder_of_somebody_else_is_not_used(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing can be removed nothing is taken, for it would be taken again."""
    office.put("a.mail")
    monkeypatch.setattr(os, "geteuid", lambda: office.path.stat().st_uid + 1)
    folder = DropFolder(office.acceptance)
    await folder.open()
    async with asyncio.timeout(10):
        await folder.watch()
    assert (office.messages, office.files) == (0, ["a.mail"])
    assert "it belongs to somebody else" in caplog.text


def _crashes(what: str, folder: Path) -> list[tuple[str, str]]:
    run = subprocess.run(
        (sys.executable, _CRASHES, what, folder),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    return [(where, found) for where, _, found in (line.partition(" ") for line in run.stdout.splitlines())]


_ONCE = "messages=1 whole=1 recipients=2 files=0"


def test_c3_a_kill_between_any_two_steps_of_leaving_loses_no_message_that_was_left(tmp_path: Path) -> None:
    """Before the file has its name there is none, from then on there is one; never half a message."""
    found = [what for _, what in _crashes("leave", tmp_path)]
    nothing = found.count("messages=0 whole=0 recipients=0 files=0")
    assert nothing > 10
    assert found[nothing:] == [_ONCE] * (len(found) - nothing)
    assert len(found) - nothing > 3


def test_c3_a_kill_between_any_two_steps_of_taking_repeats_nothing(tmp_path: Path) -> None:
    """Wherever a daemon is killed, the next one has the message once, and no file is left."""
    found = _crashes("take", tmp_path)
    assert len(found) > 40
    assert [(where, what) for where, what in found if what != _ONCE] == []
