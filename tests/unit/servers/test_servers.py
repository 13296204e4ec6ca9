"""What the real servers of tests/servers do."""

from __future__ import annotations

import contextlib
import os
import smtplib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.servers import (
    EximReceiver,
    PostfixReceiver,
    PostfixSender,
    Postgrey,
    Server,
    ServerError,
    ServerMissing,
    SmtpSink,
    SmtpSource,
    require,
)
from tests.servers.log import Follower
from tests.servers.postfix_receiver import connection_rate, holding, message_rate, policy
from tests.servers.postgrey import NAMES_NO_WAIT, NAMES_THE_WAIT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.scene

CHECKOUT = Path(__file__).parents[3]
SENDER = "ada@example.com"
RECIPIENT = "grace@example.org"
MESSAGE = "Subject: proof\r\n\r\nIt arrives.\r\n"


# The servers are other processes, so a client may block the event loop.
@contextlib.contextmanager
def session(server: Server) -> Iterator[smtplib.SMTP]:
    """Open a session; its end is an end on both sides."""
    client = smtplib.SMTP(*server.address, local_hostname="client.test", timeout=10)
    try:
        yield client
    finally:
        client.docmd("QUIT")
        if client.sock is not None:
            client.sock.recv(1)
        client.close()


@contextlib.contextmanager
def sessions(server: Server, count: int) -> Iterator[list[smtplib.SMTP]]:
    """Open several sessions at once."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(session(server)) for _ in range(count)]


def refusal(server: Server) -> tuple[int, str]:
    """Give the code and text with which a connection is refused."""
    with pytest.raises(smtplib.SMTPConnectError) as refused, session(server):
        pass
    text = refused.value.smtp_error
    return refused.value.smtp_code, text if isinstance(text, str) else text.decode()


async def test_postfix_refuses_the_third_connection() -> None:
    """A Postfix with a cap of 2 answers a third simultaneous connection from loopback with 421 4.7.0."""
    require(PostfixReceiver)
    async with PostfixReceiver(max_connections=2) as receiver:
        with sessions(receiver, 2):
            code, text = refusal(receiver)
        assert code == 421
        assert text.startswith("4.7.0 ")
        assert "too many connections" in text
        await receiver.until("the refusal is logged", lambda: receiver.connections_refused() == 1)


async def test_postfix_accepts_mail_for_any_domain() -> None:
    """A Postfix receiver accepts and counts mail for any domain."""
    require(PostfixReceiver)
    async with PostfixReceiver(max_connections=1) as receiver:
        with session(receiver) as client:
            for domain in ("example.org", "example.net", "localhost"):
                assert client.sendmail(SENDER, f"grace@{domain}", MESSAGE) == {}
        await receiver.until("3 messages", lambda: receiver.messages_accepted() == 3)
        await receiver.until("discarded", lambda: receiver.log.count("status=sent") == 3)
        assert receiver.connections_refused() == 0


async def test_postfix_cap_changes_while_it_runs() -> None:
    """A Postfix receiver obeys a new cap from the first connection after the change."""
    require(PostfixReceiver)
    async with PostfixReceiver(max_connections=1) as receiver:
        with session(receiver) as open_session:
            assert refusal(receiver)[0] == 421
            await receiver.change_cap(3)
            with sessions(receiver, 3):
                assert refusal(receiver)[0] == 421
            assert open_session.noop()[0] == 250
        await receiver.reload(smtpd_client_connection_count_limit="2")
        with sessions(receiver, 2):
            assert refusal(receiver)[0] == 421


async def test_a_restart_of_postfix_cuts_sessions() -> None:
    """A restart of a Postfix receiver cuts open sessions; its new cap holds, and what it has taken stays taken."""
    require(PostfixReceiver)
    async with PostfixReceiver(3, holding()) as receiver:

        async def restart_in_a_session() -> None:
            with session(receiver) as client:
                client.sendmail(SENDER, RECIPIENT, "Message-ID: <before@origin.test>\r\n\r\nIt arrives.\r\n")
                await receiver.restart(smtpd_client_connection_count_limit="1")

        with pytest.raises(smtplib.SMTPServerDisconnected):
            await restart_in_a_session()
        with session(receiver):
            assert refusal(receiver)[0] == 421
        assert receiver.held_ids() == ["before@origin.test"]


async def test_postfix_limits_the_rate_of_messages() -> None:
    """A Postfix that takes 2 messages of a client in a span answers MAIL for the third with 450 4.7.1."""
    require(PostfixReceiver)
    async with PostfixReceiver(settings=message_rate(2, each_s=60)) as receiver:
        with session(receiver) as client:
            for number in range(2):
                client.sendmail(SENDER, RECIPIENT, f"Message-ID: <{number}@origin.test>\r\n\r\nIt arrives.\r\n")
            client.rset()
            assert client.mail(SENDER) == (450, b"4.7.1 Error: too much mail from 127.0.0.1")
        await receiver.until("2 messages", lambda: receiver.message_ids() == ["0@origin.test", "1@origin.test"])
        assert receiver.messages_too_fast() == receiver.refusals() == 1


async def test_postfix_limits_the_rate_of_connections() -> None:
    """A Postfix that takes 2 connections of a client in a span refuses the third in the words of its cap."""
    require(PostfixReceiver)
    async with PostfixReceiver(settings=connection_rate(2, each_s=60)) as receiver:
        for _ in range(2):
            with session(receiver):
                pass
        code, text = refusal(receiver)
        assert code == 421
        assert "too many connections" in text
        await receiver.until("the refusal is logged", lambda: receiver.connections_too_fast() == 1)
        assert receiver.connections_refused() == 0


async def test_postscreen_turns_a_new_client_away() -> None:
    """Behind postscreen the first session of a client gets 450 4.3.2 for its recipient, the next one is let in."""
    require(PostfixReceiver)
    async with PostfixReceiver(1, postscreen=True) as receiver:
        with session(receiver) as client:
            client.ehlo()
            client.mail(SENDER)
            assert client.rcpt(RECIPIENT) == (450, b"4.3.2 Service currently unavailable")
        with session(receiver) as client:
            assert client.sendmail(SENDER, RECIPIENT, MESSAGE) == {}
            assert refusal(receiver)[0] == 421
        await receiver.until("1 message", lambda: receiver.messages_accepted() == 1)
        assert receiver.turned_away() == 1
        await receiver.until("the refusal is logged", lambda: receiver.connections_refused() == 1)


@pytest.mark.parametrize("text", [NAMES_NO_WAIT, NAMES_THE_WAIT])
async def test_postgrey_lets_a_recipient_come_again(text: str) -> None:
    """A recipient that postgrey does not know gets 450 4.2.0 until the wait is over, and the wait where it is named."""
    require(PostfixReceiver, Postgrey)
    async with (
        Postgrey(delay_s=1, text=text) as postgrey,
        PostfixReceiver(settings=policy(postgrey.address)) as receiver,
    ):
        with session(receiver) as client:
            client.ehlo()
            client.mail(SENDER)
            code, words = client.rcpt(RECIPIENT)
            assert code == 450
            assert words.startswith(b"4.2.0 <grace@example.org>: Recipient address rejected: Greylisted, ")
            assert (b"try again in 1 seconds" in words) == (text == NAMES_THE_WAIT)
            await receiver.until("the wait is over", lambda: client.rcpt(RECIPIENT)[0] == 250)
        assert receiver.greylisted() > 0


async def test_postgrey_leaves_nothing() -> None:
    """A postgrey that has ended leaves no process and no folder."""
    require(Postgrey)
    postgrey = Postgrey(delay_s=1)
    async with postgrey:
        assert postgrey.tree.members() != set()
    assert postgrey.tree.members() == set()
    assert not postgrey.folder.exists()


async def test_exim_refuses_the_third_connection() -> None:
    """An Exim with a cap of 2 for each host answers a third simultaneous connection with 421."""
    require(EximReceiver)
    async with EximReceiver(max_per_host=2) as receiver:
        with sessions(receiver, 2):
            code, text = refusal(receiver)
        assert code == 421
        assert text.startswith("Too many concurrent SMTP connections")
        assert receiver.connections_refused() == 1


async def test_exim_accepts_mail_for_any_domain() -> None:
    """An Exim receiver accepts and counts mail for any domain."""
    require(EximReceiver)
    async with EximReceiver(max_per_host=1) as receiver:
        with session(receiver) as client:
            for domain in ("example.org", "example.net", "localhost"):
                assert client.sendmail(SENDER, f"grace@{domain}", MESSAGE) == {}
        assert receiver.messages_accepted() == 3


async def test_exim_tells_what_came_in_order() -> None:
    """An Exim receiver gives the Message-IDs of what it took in order, and one that came twice twice."""
    require(EximReceiver)
    ids = ["2@origin.test", "1@origin.test", "2@origin.test"]
    async with EximReceiver() as receiver:
        with session(receiver) as client:
            for message_id in ids:
                client.sendmail(SENDER, RECIPIENT, f"Message-ID: <{message_id}>\r\n\r\nIt arrives.\r\n")
        assert receiver.message_ids() == ids
        assert receiver.refusals() == 0


async def test_exim_cap_changes_while_it_runs() -> None:
    """An Exim receiver obeys a new cap from the first connection after the change."""
    require(EximReceiver)
    async with EximReceiver(max_per_host=1) as receiver:
        with session(receiver):
            assert refusal(receiver)[0] == 421
        await receiver.change_cap(2)
        with sessions(receiver, 2):
            assert refusal(receiver)[0] == 421


async def test_postfix_sender_drains_what_it_held() -> None:
    """A held Postfix queues 50 messages, delivers none, and drains all of them into the sink when released."""
    require(PostfixSender, SmtpSink)
    async with SmtpSink() as sink, PostfixSender(sink.address, held=True) as sender:
        with session(sender) as client:
            for _ in range(50):
                client.sendmail(SENDER, RECIPIENT, MESSAGE)
        assert sender.queued() == 50
        assert sink.messages() == 0
        await sender.release()
        await sender.drained()
        await sink.received(50)
        assert sink.messages() == 50
        assert sender.deferred() == 0


async def test_postfix_sender_defers_what_the_sink_refuses() -> None:
    """A Postfix whose relay answers 4yz keeps the message in its deferred queue."""
    require(PostfixSender, SmtpSink)
    async with SmtpSink(["-r", "RCPT"]) as sink, PostfixSender(sink.address) as sender:
        with session(sender) as client:
            client.sendmail(SENDER, RECIPIENT, MESSAGE)
        await sender.until("the message is deferred", lambda: sender.deferred() == 1)
        assert sender.queued() == 1
        assert sink.messages() == 0


async def test_postfix_sender_knows_what_it_has_deferred() -> None:
    """A Postfix whose relay answers 4yz once counts the message as deferred, also after it was delivered."""
    require(PostfixSender, PostfixReceiver)
    quickly = {"minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "queue_run_delay": "1s"}
    async with (
        PostfixReceiver(settings=message_rate(1, each_s=3)) as receiver,
        PostfixSender(receiver.address, quickly) as sender,
    ):
        with session(sender) as client:
            for _ in range(2):
                client.sendmail(SENDER, RECIPIENT, MESSAGE)
        await sender.drained()
        assert sender.deferred() == 0
        assert sender.deferred_once() == 1
        assert receiver.messages_too_fast() > 0


def test_a_log_is_read_line_by_line(tmp_path: Path) -> None:
    """A line of a growing log is given once, and when it is complete."""
    log = tmp_path / "log"
    follower = Follower(log)
    assert follower.lines() == []
    log.write_text("one\ntw")
    assert follower.lines() == ["one"]
    log.write_text("one\ntwo\n")
    assert follower.lines() == ["two"]
    assert follower.lines() == []


async def test_source_fills_the_sink() -> None:
    """The sink has taken every message that the source has sent."""
    require(SmtpSource, SmtpSink)
    async with SmtpSink() as sink, SmtpSource(sink.address, messages=500, sessions=5) as source:
        await source.finished()
        assert source.messages() == 500
        await sink.received(500)
        await sink.until("the sessions have ended", lambda: sink.sessions() == 5)


async def test_source_reports_a_refusal() -> None:
    """A source whose message is refused says so, and after how many."""
    require(SmtpSource, SmtpSink)
    async with SmtpSink(["-f", "DATA"]) as sink, SmtpSource(sink.address, messages=1) as source:
        with pytest.raises(ServerError, match="ended with 1 after 0 messages"):
            await source.finished()


@pytest.mark.parametrize("server", [PostfixReceiver, EximReceiver, SmtpSink])
async def test_nothing_is_left(server: type[PostfixReceiver | EximReceiver | SmtpSink]) -> None:
    """A server whose test fails in the middle of a session leaves no process and no folder."""
    require(server)
    running = server()

    async def fail_in_a_session() -> NoReturn:
        async with running:
            with smtplib.SMTP(*running.address, local_hostname="client.test", timeout=10):
                raise RuntimeError("the test failed")

    with pytest.raises(RuntimeError, match="the test failed"):
        await fail_in_a_session()
    assert running.tree.members() == set()
    assert not running.folder.exists()


async def test_wrong_configuration_is_an_error_with_the_log() -> None:
    """A server that cannot start says so at once and shows what it printed."""
    require(EximReceiver)
    with pytest.raises(ServerError, match='main option "no_such_option" unknown'):
        async with EximReceiver(settings={"no_such_option": "1"}):
            pass


def test_missing_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A test that needs a missing program is skipped, and fails with CI=true."""
    monkeypatch.setenv("SENDER_DEBIAN_CACHE", str(tmp_path))
    with pytest.raises(ServerMissing, match="exim4"):
        EximReceiver.find()
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception):
        require(EximReceiver)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception):
        require(EximReceiver)


def test_fetching_again_says_nothing() -> None:
    """tests/debian.sh prints nothing and succeeds when everything is there."""
    require(PostfixReceiver, EximReceiver, Postgrey)
    environment = {key: value for key, value in os.environ.items() if key != "SENDER_DEBIAN_CACHE"}
    done = subprocess.run(
        [CHECKOUT / "tests/debian.sh"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
