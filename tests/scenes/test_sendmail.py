"""`sender sendmail` in place of /usr/sbin/sendmail: called by programs, with a daemon and without one."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sender.daemon import Role
from sender.sandbox import Behaviour
from tests.dialogs.client import CERTIFICATE
from tests.scenes.programs import Ended, install, run
from tests.scenes.world import World
from tests.servers import require_root_here

if TYPE_CHECKING:
    from sender.sandbox import Receiver

_USER = pwd.getpwuid(os.getuid()).pw_name
_MESSAGE = b"To: Ann <ann@site.test>\nBcc: bo@site.test\nSubject: disk\n\nIt is full.\n..\n.x\n"
_REST = b"To: Ann <ann@site.test>\r\nSubject: disk\r\n\r\nIt is full.\r\n..\r\n.x\r\n"
_SHELL = "/bin/sh"


class Program:
    """The command under its name sendmail, on the configuration of a world."""

    def __init__(self, world: World, folder: Path) -> None:
        self._path = install(folder)
        self._config = world.folder / "sender.toml"

    async def __call__(self, *words: str, stdin: bytes = _MESSAGE, redirected: str = "") -> Ended:
        """Run it as cron does: no HOME, no terminal, hardly an environment. `redirected` is for the shell."""
        environment = {"SENDER_CONFIG": str(self._config)}
        line = f'exec "$0" "$@" {redirected}'
        return await run(_SHELL, "-c", line, self._path, *words, stdin=stdin, environment=environment)


@pytest.fixture
def sendmail(world: World, tmp_path: Path) -> Program:
    """Give the program."""
    world.configure()
    return Program(world, tmp_path / "bin")


async def _arrived(receiver: Receiver, world: World) -> bytes:
    await world.until("it arrives", lambda: bool(receiver.arrivals))
    await world.until_empty()
    (arrival,) = receiver.arrivals
    assert arrival.rcpt_tos == ("ann@site.test", "bo@site.test")
    assert arrival.mail_from == f"{_USER}@sender.test"
    return arrival.content


def _has_what_was_missing(content: bytes, received: bytes) -> bool:
    """Tell whether it is the message with our line and the three fields that it did not have."""
    added = rb"From: [^\r]*<?%s@sender\.test>?\r\nDate: [^\r]*\r\nMessage-ID: <[^\r]*@sender\.test>\r\n"
    pattern = received + rb"(?:\r\n\t[^\r]*)*\r\n" + added % re.escape(_USER.encode()) + re.escape(_REST)
    return re.fullmatch(pattern, content) is not None


async def test_a_daemon_gets_the_message_at_once(world: World, sendmail: Program) -> None:
    """It is delivered byte for byte, with what was missing and without Bcc; nothing is printed, nothing is left."""
    receiver = await world.site("site.test", keep_arrivals=True)
    await world.start()
    assert await sendmail("-t", "-i") == Ended(0, "", "")
    content = await _arrived(receiver, world)
    assert _has_what_was_missing(content, rb"Received: from sender\.test \(\[127\.0\.0\.1\]\)"), content
    assert list(world.settings.drop_path.iterdir()) == []


@pytest.mark.parametrize("redirected", ["", ">&- 2>&-"], ids=["as-cron", "nothing-open"])
async def test_c7_without_a_daemon_the_message_waits_for_one(world: World, sendmail: Program, redirected: str) -> None:
    """It is accepted while none runs, also where output and errors are closed, and delivered once when one does."""
    receiver = await world.site("site.test", keep_arrivals=True)
    await world.start()
    await world.stop()
    assert await sendmail("-ti", redirected=redirected) == Ended(0, "", "")
    assert len(list(world.settings.drop_path.iterdir())) == 1
    assert receiver.arrivals == []
    await world.start()
    content = await _arrived(receiver, world)
    assert _has_what_was_missing(content, b"Received: from " + re.escape(_USER.encode())), content
    assert list(world.settings.drop_path.iterdir()) == []


async def test_a_message_is_taken_up_while_the_daemon_runs(world: World, sendmail: Program) -> None:
    """A listener that takes nothing now does not keep it: the message goes by the folder."""
    receiver = await world.site("site.test", keep_arrivals=True)
    await world.start({"smtp": {"relay_networks": []}})
    assert await sendmail("-ti") == Ended(0, "", "")
    assert b" with local id " in await _arrived(receiver, world)


async def test_only_a_daemon_that_accepts_takes_what_was_left(world: World, sendmail: Program) -> None:
    """One that only delivers leaves the folder alone; one that only accepts has it."""
    receiver = await world.site("site.test", keep_arrivals=True)
    await world.start(role=Role.INTAKE)
    await world.stop()
    assert await sendmail("-ti") == Ended(0, "", "")
    await world.start(role=Role.DELIVERY)
    await world.stop()
    assert len(list(world.settings.drop_path.iterdir())) == 1
    await world.start(role=Role.INTAKE)
    await world.stop()
    assert list(world.settings.drop_path.iterdir()) == []
    await world.start(role=Role.DELIVERY)
    await _arrived(receiver, world)


async def test_the_command_is_known_by_its_help(world: World, sendmail: Program) -> None:
    """It is listed beside the others, and shows an example, under either name."""
    listed = await run(world.folder / "bin/sender", "--help")
    assert "\n    sendmail " in listed.output
    helped = await run(world.folder / "bin/sender", "sendmail", "--help")
    assert "\nexample: sender sendmail " in helped.output
    assert helped == await sendmail("--help")
    assert helped.code == 0


async def test_a_small_program_does_not_wait_for_a_large_one() -> None:
    """Nothing of a daemon is loaded for a message."""
    code = "import sys; from sender.cli import sendmail; print(*sys.modules)"
    ended = await run(sys.executable, "-c", code, environment={"PYTHONPATH": str(Path(__file__).parents[2])})
    loaded = set(ended.output.split())
    assert "sender.cli.sendmail" in loaded
    assert not loaded & {"sqlite3", "uvicorn", "starlette", "uvloop", "aiosmtplib", "dns", "rich", "sender.daemon"}


async def test_what_notices_are_wanted_is_known_by_either_way(world: World, sendmail: Program) -> None:
    """NOTIFY, RET and ENVID are in the spool, whether the message came over SMTP or by the folder."""
    words = ("-f", "", "-N", "success,delay", "-R", "hdrs", "-V", "a=1", "--", "ann@site.test")
    await world.start({"routes": {"*": "127.0.0.1:1"}})
    assert await sendmail(*words) == Ended(0, "", "")
    await world.stop()
    assert await sendmail(*words) == Ended(0, "", "")
    await world.start()
    with world.database() as database:
        options = database.execute("SELECT listener, mail_from, options FROM messages ORDER BY id").fetchall()
        dsn = database.execute("SELECT dsn FROM recipients").fetchall()
    asked = '{"returns":"HDRS","envelope_id":"a+3D1"'
    assert options == [("smtp", "", asked + "}"), ("drop", "", f'{asked},"submitter":"{_USER}"}}')]
    assert dsn == [("NOTIFY=SUCCESS,DELAY",)] * 2


async def test_a_dot_ends_a_message_unless_it_is_said_not_to(world: World, sendmail: Program) -> None:
    """With -oi a line with a dot alone is a line."""
    receiver = await world.site("site.test", keep_arrivals=True)
    await world.start()
    for word in ("-oi", "-om"):
        assert await sendmail(word, "ann@site.test", stdin=b"Subject: x\n\na\n.\nb\n") == Ended(0, "", "")
    await world.until_empty()
    ends = {arrival.content.partition(b"\r\n\r\n")[2] for arrival in receiver.arrivals}
    assert ends == {b"a\r\n.\r\nb\r\n", b"a\r\n"}


_WRONG = {
    "no recipients": (("-i",), 64, "no recipients"),
    "no recipients in it": (("-t",), 64, "no recipients"),
    "a mode": (("-bp",), 64, "-bp shows the queue: run sender queue"),
    "an option": (("--frob",), 64, "--frob: no such option"),
    "a control": (("a@b.test\nDATA",), 64, "'a@b.test\\nDATA': must have no control characters"),
    "an address": (("a@b.test", ".c@d.test"), 65, "'.c@d.test': the part before @ must be a dot-string"),
    "a sender": (("-f", "a@b@c", "x@y.test"), 65, "'a@b@c': the part before @ must be a dot-string"),
    "a configuration": (("--config", "/none.toml", "a@b.test"), 78, "/none.toml: cannot be read"),
    "nowhere to leave it": (("a@b.test",), 73, "no daemon takes the message (127.0.0.1:"),
}


@pytest.mark.parametrize("name", _WRONG)
async def test_what_cannot_be_sent_is_refused_with_a_code_of_sysexits(
    world: World, sendmail: Program, name: str
) -> None:
    """One sentence says why, on standard error; programs that know sendmail know the code."""
    words, code, sentence = _WRONG[name]
    ended = await sendmail(*words, stdin=b"Subject: x\n\nb\n")
    assert (ended.code, ended.output) == (code, "")
    assert ended.errors.startswith(f"sendmail: {sentence}"), ended.errors
    assert not world.settings.spool_path.exists()


@pytest.mark.parametrize(("stdin", "code"), [("<&-", 66), ("0>/dev/null", 74)])
async def test_without_standard_input_there_is_no_message(
    world: World, sendmail: Program, stdin: str, code: int
) -> None:
    """Nothing is sent where nothing can be read."""
    ended = await sendmail("a@b.test", redirected=stdin)
    assert (ended.code, ended.errors.startswith("sendmail: standard input ")) == (code, True)


async def test_content_that_no_daemon_takes_is_refused_at_once(world: World, sendmail: Program) -> None:
    """There is nobody to tell later: neither a daemon nor the folder gets it."""
    await world.start()
    await world.stop()
    ended = await sendmail("a@b.test", stdin=b"Subject: x\n\na\0b\n")
    assert ended == Ended(65, "", "sendmail: 554 5.6.0 Content with NUL is not accepted\n")
    assert list(world.settings.drop_path.iterdir()) == []


@pytest.mark.parametrize(
    ("behaviour", "code", "sentence"),
    [
        ({"refused_senders": {"@sender.test": "553 5.7.1 Not yours"}}, 65, "553 5.7.1 Not yours"),
        ({"refused_rcpts": {"bo@site.test": "550 5.1.1 Who?"}}, 67, "bo@site.test: 550 5.1.1 Who?"),
        ({"refused_rcpts": {"bo@site.test": "554 5.7.1 No"}}, 69, "bo@site.test: 554 5.7.1 No"),
        ({"scripted": {"end_of_data": ["554 5.6.0 \x1b[2J"]}}, 65, "554 5.6.0 ?[2J"),
    ],
)
async def test_a_refusal_by_the_daemon_is_told(
    world: World, sendmail: Program, behaviour: dict[str, object], code: int, sentence: str
) -> None:
    """Its reply is the sentence, and the code says what was refused."""
    daemon = await world.receiver("daemon.test", Behaviour(**behaviour), keep_arrivals=True)  # type: ignore[arg-type] # any field
    world.configure({"smtp": {"listen": [f"{daemon.host}:{daemon.port}"]}})
    assert await sendmail("-ti") == Ended(code, "", f"sendmail: {sentence}\n")
    assert daemon.arrivals == []


async def test_a_folder_that_is_full_is_worth_another_try(world: World, sendmail: Program) -> None:
    """Where a message cannot be left for want of room the code says so, and nothing of it stays."""
    await world.start()
    await world.stop()
    limited = await run(
        _SHELL,
        "-c",
        'ulimit -f 4; exec "$0" -c "$1"',
        sys.executable,
        "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "from sender.cli import main; sys.exit(main(['sendmail', 'ann@site.test']))",
        stdin=b"Subject: x\n\n" + b"x\n" * 10_000,
        environment={"SENDER_CONFIG": str(world.folder / "sender.toml"), "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (limited.code, "File too large" in limited.errors) == (75, True), limited
    assert list(world.settings.drop_path.iterdir()) == []


_AS_NOBODY = """
import encodings.idna, os, pwd, sys
from sender.cli import sendmail
user = pwd.getpwnam("nobody")
os.setgroups([])
os.setresgid(*[user.pw_gid] * 3)
os.setresuid(*[user.pw_uid] * 3)
code = sendmail.main(sys.argv[2:])
try:
    os.listdir(sys.argv[1])
except PermissionError:
    sys.exit(code)
sys.exit("the folder can be listed")
"""


async def test_any_user_may_leave_mail_and_none_may_look_at_it() -> None:
    """A daemon of another user takes it, and says who left it."""
    require_root_here()
    with tempfile.TemporaryDirectory(prefix="sender-") as name:
        Path(name).chmod(0o755)  # pytest's folders are their owner's alone
        async with World(Path(name)) as world:
            receiver = await world.site("site.test", keep_arrivals=True)
            keys = Path(name) / "keys"  # which only the daemon may see
            keys.mkdir(mode=0o700)
            key = shutil.copy(CERTIFICATE, keys)
            tls = {"tls_cert": str(key), "tls_key": str(key)}
            await world.start({"spool": {"url": "sqlite:spool/spool.db"}, "smtp": tls})
            await world.stop()
            drop, config = str(world.settings.drop_path), f"{name}/sender.toml"
            environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
            program = (sys.executable, "-c", _AS_NOBODY, drop, "--config", config, "-ti")
            assert await run(*program, stdin=_MESSAGE, environment=environment) == Ended(0, "", "")
            (file,) = world.settings.drop_path.iterdir()
            assert pwd.getpwuid(file.stat().st_uid).pw_name == "nobody"
            assert stat.S_IMODE(file.stat().st_mode) == 0o640
            assert file.stat().st_gid == world.settings.drop_path.stat().st_gid
            await world.start()
            await world.until_empty()
            (arrival,) = receiver.arrivals
            assert arrival.content.startswith(b"Received: from nobody\r\n")
            assert arrival.mail_from == "nobody@sender.test"
            await world.balance()
