"""The webhook: what takes a batch, what has it sent again and when, and what never happens to events."""

from __future__ import annotations

import asyncio
import base64
import itertools
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sender.clock import Clock
from sender.core.errors import ConfigError
from sender.observe.events import Events
from sender.observe.metrics import Metrics
from sender.observe.signing import signed, signing_key
from sender.observe.webhook import Webhook, _retry_after
from sender.settings import Settings, from_tables
from tests.scenes.hook import CLOSE, HANG, SECRET, WAIT, Hook

_CERTIFICATE = Path(__file__).parents[2] / "dialogs" / "certificate.pem"


class _Sending:
    """A webhook that sends what is written."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self.events = Events.open(settings, self.metrics)
        assert self.events.tail is not None
        self.webhook = Webhook(settings, self.events.tail, self.metrics, Clock(), Random(1))

    def write(self, *numbers: int, event: str = "delivered") -> None:
        """Write events."""
        self.events.write([{"event": event, "n": number, "at": time.time()} for number in numbers])

    async def stop(self) -> None:
        """End as the daemon does."""
        await self.webhook.stop(at_once=False)
        self.events.close()

    def sample(self, name: str, **labels: str) -> float:
        """Read a metric."""
        return self.metrics.registry.get_sample_value(f"sender_{name}", labels) or 0.0


def _settings(folder: Path, hook: Hook, **events: Any) -> Settings:  # noqa: ANN401 - keys of `[events]`
    tables = {
        "webhook": hook.url,
        "webhook_secret": SECRET,
        "webhook_batch_interval": "20ms",
        "webhook_backoff": "20ms",
        "webhook_backoff_max": "40ms",
        "webhook_drain": "5s",
        **events,
    }
    return from_tables({"spool": {"url": "sqlite:spool.db"}, "events": tables}, folder / "sender.toml")


@asynccontextmanager
async def _sending(settings: Settings) -> AsyncIterator[_Sending]:
    sending = _Sending(settings)
    try:
        yield sending
    finally:
        await sending.stop()


def _numbers(hook: Hook) -> list[int]:
    return [event["n"] for event in hook.events]


async def test_events_come_in_batches_that_are_signed(tmp_path: Path) -> None:
    """Each request has a JSON array of at most so many events, an id of its own, and a signature that holds."""
    async with Hook() as hook, _sending(_settings(tmp_path, hook, webhook_batch_size=3)) as sending:
        sending.write(*range(7))
        await hook.until("all are there", lambda: len(hook.events) == 7)
    assert _numbers(hook) == list(range(7))
    assert [len(request.events) for request in hook.requests] == [3, 3, 1]
    assert len({request.id for request in hook.requests}) == 3
    for request in hook.requests:
        assert request.headers["content-type"] == "application/json"
        assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 10
        assert request.is_signed(SECRET)
        assert not request.is_signed("whsec_" + base64.b64encode(b"another").decode())
    assert sending.sample("webhook_requests_total", result="ok") == 3


def test_a_signature_is_that_of_the_specification() -> None:
    """The example of Standard Webhooks is signed as it stands there."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert "webhook-signature" not in signed(b"", "id", 0, b"")


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    """With or without a prefix, and with a line end; a file without a secret in it is named."""
    secret = tmp_path / "secret"
    settings = _settings(tmp_path, Hook(), webhook_secret="")
    assert signing_key(settings) == b""
    secret.write_text("plain words\n")
    settings = _settings(tmp_path, Hook(), webhook_secret="", webhook_secret_file="secret")
    assert signing_key(settings) == b"plain words"
    secret.write_text(f"{SECRET}\n")
    assert signing_key(settings) == base64.b64decode(SECRET.removeprefix("whsec_"))
    for text, rule in (("\n", "must have the secret in it"), ("whsec_?", 'must be base64 after "whsec_"')):
        secret.write_text(text)
        with pytest.raises(ConfigError, match=rule):
            signing_key(settings)
    secret.unlink()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        signing_key(settings)


def test_the_secret_is_not_shown(tmp_path: Path) -> None:
    """`sender config show` tells that there is one, and not which."""
    settings = _settings(tmp_path, Hook())
    assert settings.model_dump(mode="json")["events"]["webhook_secret"] == "(set)"
    assert SECRET.removeprefix("whsec_") not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("500 Oh", "failed"),
        ("503 Later", "failed"),
        ("408 Slow", "failed"),
        ("425 Early", "failed"),
        ("429 Often", "failed"),
        (CLOSE, "failed"),
        (HANG, "failed"),
        ("400 Bad", "refused"),
        ("401 Who", "refused"),
        ("404 Where", "refused"),
        ("410 Gone", "refused"),
        ("302 Found\nlocation: http://127.0.0.1:1/", "refused"),
        ("304 Same", "refused"),
    ],
)
async def test_what_is_not_taken_is_sent_again_as_it_was(tmp_path: Path, answer: str, result: str) -> None:
    """Whatever the answer is, if it is not 2xx the same batch follows under the same id; the answer is counted."""
    async with (
        Hook(answer, answer) as hook,
        _sending(_settings(tmp_path, hook, webhook_timeout="150ms")) as sending,
    ):
        sending.write(1, 2)
        await hook.until("it is tried", lambda: len(hook.requests) >= 1)
        sending.write(3)
        await hook.until("all are there", lambda: len(hook.events) == 3)
    first, second, third, *_ = hook.requests
    assert (first.id, first.body) == (second.id, second.body) == (third.id, third.body)
    assert _numbers(hook) == [1, 2, 3]
    assert sending.sample("webhook_requests_total", result=result) == 2
    assert sending.sample("events_dropped_total", to="webhook") == 0


async def test_trouble_is_told_once_and_names_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the answer once, not the path of the URL, which may be secret, and tells when it is over."""
    caplog.set_level(logging.INFO, "sender")
    async with Hook(*["401 No\n\nwrong \x1b[31msignature"] * 4) as hook, _sending(_settings(tmp_path, hook)) as sending:
        sending.write(1)
        await hook.until("it is taken", lambda: len(hook.events) == 1)
    told = [record.message for record in caplog.records if record.name.startswith("sender")]
    place = f"http://127.0.0.1:{hook.port}"
    assert told == [
        f"the webhook at {place} does not take events, they wait: 401 wrong ?[31msignature",
        f"the webhook at {place} takes events again",
    ]


async def test_the_wait_doubles_and_is_at_least_what_the_receiver_asks_for(tmp_path: Path) -> None:
    """A receiver that is down is asked less and less often; one that says Retry-After is left alone for so long."""
    async with (
        Hook("503 a", "503 b", "503 c", "429 d\nretry-after: 1") as hook,
        _sending(_settings(tmp_path, hook, webhook_backoff="50ms", webhook_backoff_max="1s")) as sending,
    ):
        came: list[float] = []
        sending.write(1)
        for count in range(1, 6):
            await hook.until("one more", lambda count=count: len(hook.requests) == count)  # type: ignore[misc]
            came.append(time.monotonic())
    waits = [later - earlier for earlier, later in itertools.pairwise(came)]
    assert [wait >= least for wait, least in zip(waits, (0.03, 0.07, 0.15, 0.95), strict=True)] == [True] * 4


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("30", 30.0), ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", 0.0)],
)
def test_retry_after_is_read_in_both_its_forms(value: str, seconds: float) -> None:
    """Seconds, or a date; what is neither asks for nothing."""
    assert _retry_after(value, 100.0) == seconds


async def test_an_answer_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A receiver that answers with more than anybody wants to know costs no memory, and its answer counts."""
    text = "x" * 300_000
    async with Hook(f"500 Long\n\n{text}", f"200 OK\n\n{text}") as hook, _sending(_settings(tmp_path, hook)) as sending:
        sending.write(1)
        await hook.until("it is taken", lambda: len(hook.events) == 1)
    assert len(hook.requests) == 2


async def test_a_receiver_that_is_not_there_gets_everything_later(tmp_path: Path) -> None:
    """While nobody listens, what waits is shown by its bytes and its age; when it is back it gets all, in order."""
    hook = Hook()
    async with _sending(_settings(tmp_path, hook, webhook_batch_size=100)) as sending:
        for number in range(0, 1000, 10):
            sending.write(*range(number, number + 10))
        await hook.until("it is shown", lambda: sending.sample("webhook_buffer_bytes") > 50_000)
        await hook.until("it is tried", lambda: sending.sample("webhook_requests_total", result="failed") > 1)
        assert 0 < sending.sample("webhook_oldest_seconds") < 60
        async with hook:
            await hook.until("all are there", lambda: len(hook.events) == 1000)
            await hook.until("nothing waits", lambda: sending.sample("webhook_buffer_bytes") == 0)
            assert sending.sample("webhook_oldest_seconds") == 0
    assert _numbers(hook) == list(range(1000))


async def test_a_stop_sends_what_is_there(tmp_path: Path) -> None:
    """What was written just before is sent before the end; a receiver that takes nothing does not hold the end up."""
    async with Hook() as hook:
        sending = _Sending(_settings(tmp_path, hook, webhook_batch_interval="1h"))
        await asyncio.sleep(0)  # its first look finds nothing
        sending.write(*range(1200))
        await sending.stop()
        assert _numbers(hook) == list(range(1200))
        hook.always = HANG
        sending = _Sending(_settings(tmp_path, hook, webhook_drain="100ms"))
        sending.write(1200)
        began_at = time.monotonic()
        await sending.stop()
        assert time.monotonic() - began_at < 2
        hook.always = "204 No Content"
        await _Sending(_settings(tmp_path, hook)).stop()
        assert _numbers(hook) == list(range(1201))


async def test_a_stop_sends_what_was_written_while_a_batch_was_under_way(tmp_path: Path) -> None:
    """The last batch of a daemon is not the one that was begun before its last events."""
    async with Hook(WAIT) as hook:
        sending = _Sending(_settings(tmp_path, hook, webhook_batch_interval="1h"))
        sending.write(1)
        sending.webhook.reload(_settings(tmp_path, hook, webhook_batch_interval="1h"))
        await hook.until("it is under way", lambda: len(hook.requests) == 1)
        sending.write(2)
        stop = asyncio.create_task(sending.stop())
        await asyncio.sleep(0)
        hook.go_on.set()
        await stop
        assert _numbers(hook) == [1, 2]


async def test_another_configuration_is_tried_at_once(tmp_path: Path) -> None:
    """A receiver that has moved, and has another secret, gets what waits, though the next try was far away."""
    async with Hook() as there:
        here = Hook()
        async with _sending(_settings(tmp_path, here, webhook_backoff="1h", webhook_backoff_max="1h")) as sending:
            sending.write(1)
            await there.until("it failed", lambda: sending.sample("webhook_requests_total", result="failed") == 1)
            sending.webhook.reload(_settings(tmp_path, there, webhook_secret="another", webhook_events=["bounced"]))
            await there.until("it is there", lambda: len(there.events) == 1)
            sending.write(2)
            sending.write(3, event="bounced")
            await there.until("they are there", lambda: len(there.events) == 2)
    assert _numbers(there) == [1, 3]
    encoded = base64.b64encode(b"another").decode()
    assert all(request.is_signed(f"whsec_{encoded}") for request in there.requests)


async def test_a_certificate_that_nobody_vouches_for_gets_nothing(tmp_path: Path) -> None:
    """TLS is verified: an impostor sees no event."""
    seen = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(1))
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(_CERTIFICATE)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    hook = Hook()
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
    async with server, _sending(_settings(tmp_path, hook, webhook=url, webhook_drain="0s")) as sending:
        sending.write(1)
        await hook.until("it failed", lambda: sending.sample("webhook_requests_total", result="failed") > 0)
    assert seen == []


async def test_no_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events go through a proxy only where the configuration names one."""
    async with Hook() as hook, Hook() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with _sending(_settings(tmp_path, hook)) as sending:
            sending.write(1)
            await hook.until("it is taken", lambda: len(hook.events) == 1)
            assert proxy.requests == []
            sending.webhook.reload(_settings(tmp_path, hook, webhook_proxy=f"http://127.0.0.1:{proxy.port}"))
            sending.write(2)
            await hook.until("it is taken there", lambda: len(proxy.events) == 1)
    assert (_numbers(hook), _numbers(proxy)) == ([1], [2])
