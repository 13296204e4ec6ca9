"""The container file is carried out in a folder, and what came of it is run as a container runs it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import smtplib
import stat
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.scenes.containerfile import Building, Image
from tests.scenes.processes import Served
from tests.scenes.programs import run
from tests.servers import require_root_here
from tests.servers.process import ProcessTree, find_program, free_port, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.scenes.world import World

_ROOT = Path(__file__).parents[2]
_SERVICES = yaml.safe_load((_ROOT / "deploy/compose.yaml").read_text())["services"]


async def test_a_container_is_healthy_takes_mail_and_stops(world: World) -> None:
    """Made by the file's steps, run with its user, environment and commands; only the volume can be written to."""
    require_root_here()
    receiver = await world.receiver("mx.site.test")
    folder = Path(tempfile.mkdtemp(prefix="sender-container-"))
    try:
        folder.chmod(0o755)
        building = Building(_ROOT / "deploy/Containerfile", _ROOT, folder / "root")
        image = await asyncio.to_thread(building.run)
        configuration = folder / "root/etc/sender/sender.toml"
        places = {"0.0.0.0:2525": f"127.0.0.1:{world.smtp_port}", "0.0.0.0:8025": f"127.0.0.1:{world.http_port}"}
        text = _moved(building.placed(configuration.read_text()), places)
        configuration.write_text(f'hostname = "mta.test"\n{text}\n[routes]\n"*" = "{receiver.host}:{receiver.port}"\n')
        packages = folder / "root/opt"
        before = _made_read_only(packages, folder / "root/etc")
        await _live(folder, image, world)
        assert sorted(packages.rglob("*")) == before
        assert receiver.tally.messages == 1
    finally:
        shutil.rmtree(folder)


def _moved(text: str, places: dict[str, str]) -> str:
    for there, here in places.items():
        assert there in text
        text = text.replace(there, here)
    return text


def _made_read_only(packages: Path, configuration: Path) -> list[Path]:
    """Take everybody's right to write; give what is in the packages."""
    for path in [packages, *packages.rglob("*"), *configuration.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    return sorted(packages.rglob("*"))


async def _live(folder: Path, image: Image, world: World) -> None:
    """Run an image from its start to its end."""
    as_user = _as_user(image, folder / "root/var/lib/sender")
    health = await run(*as_user, *image.health)
    assert (health.code, "does not answer" in health.errors) == (1, True), health
    log = folder / "log"
    async with _running(*as_user, *image.entrypoint, *image.command, log=log) as daemon:
        await until("it is ready", lambda: "ready: role all" in _said(log, daemon), deadline_s=30)
        health = await run(*as_user, *image.health)
        assert (health.code, health.output) == (0, "alive\n"), health
        await asyncio.to_thread(_send, world.smtp_port)
        await until("it is delivered", lambda: world.receivers["mx.site.test"].tally.messages == 1)
        assert [(await world.get(path))[0] for path in ("/metrics", "/v1/queue")] == [200, 401]
        daemon.signal(signal.Signals[image.stop_signal])
        assert await daemon.ended() == 0, _said(log, daemon)
        assert not re.search("ERROR|WARNING|Traceback", _said(log, daemon)), _said(log, daemon)


def _as_user(image: Image, volume: Path) -> list[Path | str]:
    """Give what comes before a command: the image's user and environment, and no capability.

    Where this machine's Python is for root only, that is root without capabilities, which can write as little.
    """
    user = image.user
    if not all(folder.stat().st_mode & stat.S_IXOTH for folder in Path(os.path.realpath(sys.executable)).parents):
        user = os.getuid()
        shutil.chown(volume, user, user)
    identity = [f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    environment = [f"{key}={value}" for key, value in image.environment.items()]
    return [find_program("setpriv"), *identity, find_program("env"), f"--chdir={image.directory}", "-i", *environment]


@asynccontextmanager
async def _running(*argv: Path | str, log: Path) -> AsyncIterator[ProcessTree]:
    tree = await ProcessTree.start(*argv, output=log)
    try:
        yield tree
    finally:
        await tree.stop()


def _said(log: Path, tree: ProcessTree) -> str:
    text = log.with_name(f"{log.name}.err").read_text() + log.read_text()
    assert tree.exit_code in {None, 0}, text
    return text


def _send(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test") as client:
        client.sendmail("a@origin.test", ["user@site.test"], b"Subject: hello\r\n\r\nGood news.\r\n")


async def test_the_demonstration_of_the_compose_file_works(world: World) -> None:
    """Its campaign goes through its configuration to the receivers of the sandbox, and the cap of one is found."""
    dns_port, port = free_port(), free_port()
    places = {
        "0.0.0.0:2525": f"127.0.0.1:{world.smtp_port}",
        "0.0.0.0:8025": f"127.0.0.1:{world.http_port}",
        "127.0.0.1:5300": f"127.0.0.1:{dns_port}",
        "port = 2600": f"port = {port}",
        "/var/lib/sender": str(world.folder),
        'tokens_file = "tokens.toml"': "",
    }
    config = world.folder / "sender.toml"
    config.write_text(_moved((_ROOT / "deploy/container/demo.toml").read_text(), places))
    ports = f"--port={port}", f"--dns-port={dns_port}"
    campaign = _moved(_SERVICES["campaign"]["command"][0], {"2525": str(world.smtp_port)})
    log = world.folder / "sandbox", world.folder / "campaign"
    async with (
        _running(sys.executable, "-m", "sender", *_SERVICES["sandbox"]["command"], *ports, log=log[0]) as sandbox,
        Served(config) as served,
    ):
        await until("the sandbox is there", lambda: "name server" in _said(log[0], sandbox), deadline_s=30)
        await served.ready()
        async with _running(sys.executable, "-c", campaign, log=log[1]) as sending:

            async def found() -> bool:
                assert sending.exit_code is None, _said(log[1], sending)
                metrics = await world.metrics()
                outcomes = metrics.by("sender_attempts_total", "outcome")
                refused = metrics.by("sender_sessions_refused_total", "reason")
                return {"delivered", "deferred", "bounced"} <= set(outcomes) and bool(refused.get("connection_limit"))

            await world.until_true("mail is delivered, greylisted and bounced, and a cap was met", found)
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0, served.log
