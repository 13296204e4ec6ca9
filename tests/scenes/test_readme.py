"""The examples of the README are run as they stand there."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sender.core.selection import Kind, Selection
from sender.observe.signing import signed, signing_key
from sender.sandbox import Behaviour
from sender.settings import from_tables
from tests.servers import require
from tests.servers.process import find_program

if TYPE_CHECKING:
    from tests.scenes.world import World

_README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
_CALL = re.compile(r"^curl .*?(?=\n(?:curl|```))", re.MULTILINE | re.DOTALL)
_CALLS = [call for block in re.findall(r"```sh\n(.*?```)", _README, re.DOTALL) for call in _CALL.findall(block)]


async def _run(world: World, call: str, variables: str) -> Any:  # noqa: ANN401 - JSON
    """Run one example against the daemon of a world; give its answer."""
    script = call.replace("http://127.0.0.1:8025", f"http://127.0.0.1:{world.http_port}").replace(
        "curl ", "curl --silent --show-error --fail-with-body ", 1
    )
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", f"{variables}\n{script}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    answer, errors = await process.communicate()
    assert process.returncode == 0, (call, answer, errors)
    return json.loads(answer)


def test_the_readmes_check_of_a_signature_tells_ours_from_others() -> None:
    """What the README has receivers of the webhook run takes our requests, and no others or old ones."""
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", _README, re.DOTALL) if "def verified" in block]
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - it is what stands there
    verified, body = names["verified"], b'[{"event":"delivered"}]'
    for secret in ("a secret of words", "whsec_" + base64.b64encode(b"a key of 24 bytes, or so").decode()):
        events = {"webhook": "https://example.com/", "webhook_secret": secret}
        key = signing_key(from_tables({"events": events}, Path("sender.toml")))
        headers = signed(key, "batch-1", int(time.time()), body)
        assert verified(secret, headers, body)
        assert not verified(secret, headers, body + b" ")
        assert not verified("another secret", headers, body)
        assert not verified(secret, signed(key, "batch-1", int(time.time()) - 400, body), body)


class Curl:
    """The program that the examples are written for."""

    @classmethod
    def find(cls) -> Path:
        """Find it; or raise ServerMissing."""
        return find_program("curl")


async def test_every_call_of_the_readme_is_answered(world: World) -> None:
    """Each example works when it is typed, in the order in which it stands; the mail in them is delivered."""
    require(Curl)
    first, _ = [await world.site(domain, Behaviour(name=f"mx.{domain}")) for domain in ("example.net", "example.org")]
    await world.inbox()
    await world.start()
    variables, paths = "", set()
    for call in _CALLS:
        shown = re.search(r"127\.0\.0\.1:8025(/v1/[a-z]+(?:/(?=[a-z$]))?)", call)
        assert shown is not None
        paths.add(shown[1])
        if "$NUMBER" in call:  # the suspension before it has ended by its domain
            assert world.daemon.control is not None
            number, _ = await world.daemon.control.suspend(Selection(Kind.STREAM, "none"), for_s=None, reason="")
            variables += f"\nNUMBER={number}"
        answer = await _run(world, call, variables)
        if not variables:
            variables = f"ID={answer['id']}"
            await world.until("the first message is delivered: its lane is known", lambda: first.tally.messages == 1)
    assert paths == {
        *("/v1/messages", "/v1/messages/", "/v1/batches", "/v1/queue", "/v1/lanes", "/v1/lanes/"),
        *("/v1/suspensions", "/v1/suspensions/", "/v1/retries", "/v1/bounces", "/v1/deletions", "/v1/memory"),
    }


@pytest.mark.parametrize("number", range(_README.count("```toml\n")))
def test_every_configuration_of_the_readme_is_good(number: int, tmp_path: Path) -> None:
    """What stands there can be copied: no key is unknown and no value is wrong."""
    tables = tomllib.loads(re.findall(r"```toml\n(.*?)```", _README, re.DOTALL)[number])
    if "hostname" in tables or "listeners" in tables:
        for name in ("users.toml", "mta.pem", "mta.key"):
            (tmp_path / name).touch()
        from_tables(tables, tmp_path / "sender.toml")
    else:
        assert set(tables) <= {"ann", "shop"}  # of the files for users and tokens
