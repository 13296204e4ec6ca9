"""What is in deploy/ agrees with the schemas of those that read it, with the daemon, and with itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate.utils import validate

from sender import __version__, cli
from sender.core.endpoint import split_endpoint
from sender.core.quantity import parse_duration
from sender.settings import DeliverySettings, load
from tests.servers import require, require_root_here
from tests.servers.process import find_program

_ROOT = Path(__file__).parents[2]
_DEPLOY = _ROOT / "deploy"
_COMPOSE = yaml.safe_load((_DEPLOY / "compose.yaml").read_text())
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]
_CONTAINERFILE = (_DEPLOY / "Containerfile").read_text()
_UNIT = (_DEPLOY / "systemd/sender.service").read_text()
_CONFIGURATIONS = sorted(
    path.relative_to(_ROOT).as_posix()
    for path in [*_DEPLOY.rglob("*.toml"), _ROOT / "config/sender.toml"]
    if path.name != "tokens.toml"
)
_MANIFESTS = [
    (path.name, manifest)
    for path in sorted((_DEPLOY / "kubernetes").glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for manifest in yaml.safe_load_all(path.read_text())
]
_PINNED = re.compile(r"[a-z./-]+:v?\d+\.\d+\.\d+(?:-[a-z-]+)?")
_EXPOSURE = 1.1  # of 10; `systemd-analyze security` calls below 2 "OK", its best word for what has a network


class SystemdAnalyze:
    """What looks through units."""

    @classmethod
    def find(cls) -> Path:
        """Find it; or raise ServerMissing."""
        return find_program("systemd-analyze")


def _unit_value(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", _UNIT, re.MULTILINE)
    return str(value)


def _pod() -> dict[str, Any]:
    (stateful_set,) = [manifest for _, manifest in _MANIFESTS if manifest["kind"] == "StatefulSet"]
    assert stateful_set["spec"]["replicas"] == 1
    pod: dict[str, Any] = stateful_set["spec"]["template"]["spec"]
    return pod


# the guide


def test_the_guide_names_what_is_there() -> None:
    """Each file of deploy/ that its README names exists."""
    named = re.findall(
        r"(?<![\w./])(?:deploy/)?((?:systemd|logrotate|kubernetes|container|examples)/[\w./-]*\w)",
        (_DEPLOY / "README.md").read_text(),
    )
    assert len(named) > 10
    assert [name for name in named if not (_DEPLOY / name).exists()] == []


# configurations


@pytest.mark.parametrize("name", _CONFIGURATIONS)
def test_every_configuration_that_is_shipped_is_good(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sender config check` finds nothing, with the file of tokens beside it that each place brings."""
    shutil.copy(_ROOT / name, tmp_path / "sender.toml")
    tokens = (_ROOT / name).with_name("tokens.toml")
    (tmp_path / "tokens.toml").write_text(tokens.read_text() if tokens.exists() else "")
    assert cli.main(["config", "check", "--config", str(tmp_path / "sender.toml")]) == 0
    assert "good" in capsys.readouterr().out


def test_a_stop_has_the_time_that_draining_takes() -> None:
    """systemd, Compose and Kubernetes kill later than `delivery.drain_timeout`."""
    drain_s = DeliverySettings().drain_timeout
    minutes = re.fullmatch(r"(\d+)min", _unit_value("TimeoutStopSec"))
    assert minutes is not None
    assert int(minutes[1]) * 60 > drain_s
    assert parse_duration(_SERVICES["sender"]["stop_grace_period"]) > drain_s
    assert _pod()["terminationGracePeriodSeconds"] > drain_s


def test_versions_users_and_ports_are_the_same_everywhere() -> None:
    """The image is of this version, runs as one user, and listens where everybody connects."""
    kustomization = yaml.safe_load((_DEPLOY / "kubernetes/kustomization.yaml").read_text())
    assert [image["newTag"] for image in kustomization["images"]] == [__version__]
    assert f'image.version="{__version__}"' in _CONTAINERFILE
    ours = {service["image"] for name, service in _SERVICES.items() if name not in {"prometheus", "grafana"}}
    assert ours == {f"mx-sender:{__version__}"}
    (user,) = re.findall(r"^USER (\d+:\d+)$", _CONTAINERFILE, re.MULTILINE)
    security = _pod()["securityContext"]
    assert user == f"{security['runAsUser']}:{security['runAsGroup']}" == f"{security['fsGroup']}:{security['fsGroup']}"
    (exposed,) = re.findall(r"^EXPOSE (.*)$", _CONTAINERFILE, re.MULTILINE)
    for place in ("container", "kubernetes"):
        ports = _ports(_DEPLOY / place / "sender.toml")
        assert exposed.split() == [str(port) for port in ports]
    (container,) = _pod()["containers"]
    assert [port["containerPort"] for port in container["ports"]] == ports
    assert [entry.rpartition(":")[2] for entry in _SERVICES["sender"]["ports"]] == exposed.split()


def _ports(configuration: Path) -> list[int]:
    tables = tomllib.loads(configuration.read_text())
    return [split_endpoint(listen)[1] for listen in (*tables["smtp"]["listen"], tables["http"]["listen"])]


# the container


def test_the_containers_base_is_pinned_and_its_commands_need_no_shell() -> None:
    """Each FROM names a version; what runs gets signals itself, for it stands in exec form."""
    bases = re.findall(r"^FROM (\S+)", _CONTAINERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert all(_PINNED.fullmatch(base) for base in bases)
    for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK .*? CMD"):
        (command,) = re.findall(rf"^{name} (.*)$", _CONTAINERFILE, re.MULTILINE)
        assert isinstance(json.loads(command), list)


# Compose


def test_the_compose_file_is_one() -> None:
    """It follows the schema of the Compose specification."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, _DEPLOY / "compose.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(_SERVICES))
def test_every_service_is_pinned_and_hardened(name: str) -> None:
    """A version of three numbers, no capability, no way to more rights, only volumes to write to, a health check."""
    service = _SERVICES[name]
    assert _PINNED.fullmatch(service["image"])
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "userns_mode"} & set(service)
    assert service.get("network_mode") in {None, "service:sender"}
    assert service["healthcheck"] == {"disable": True} or service["healthcheck"]["test"][0] == "CMD"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", sorted(_SERVICES))
def test_everything_that_is_mounted_is_there(name: str) -> None:
    """Folders and files of the checkout that are mounted exist, and only to be read; volumes are declared."""
    for mount in _SERVICES[name].get("volumes", []):
        source, _, target = mount.partition(":")
        if source.startswith("."):
            assert (_DEPLOY / source).exists(), source
            assert target.endswith(":ro")
        else:
            assert source in _COMPOSE["volumes"]


def test_grafana_and_prometheus_find_each_other_and_the_daemon() -> None:
    """Dashboards lie where their provider looks, its variables are set, and the daemon is scraped at its port."""
    provisioning = _DEPLOY / "grafana/provisioning"
    grafana = _SERVICES["grafana"]
    targets = {mount.split(":")[1] for mount in grafana["volumes"]}
    providers = [yaml.safe_load(path.read_text()) for path in sorted((provisioning / "dashboards").iterdir())]
    paths = [provider["options"]["path"] for file in providers for provider in file["providers"]]
    assert paths
    assert set(paths) <= targets
    sources = "".join(path.read_text() for path in sorted((provisioning / "datasources").iterdir()))
    named = set(re.findall(r"(?<!\$)\$\{?([A-Z_]+)", re.sub(r"#.*", "", sources)))
    assert named <= set(grafana["environment"])
    (replaced,) = [mount.split(":")[1] for mount in _SERVICES["prometheus"]["volumes"] if "targets" in mount]
    assert (_DEPLOY / "prometheus/targets" / Path(replaced).name).exists()
    (group,) = yaml.safe_load((_DEPLOY / "compose-targets.yml").read_text())
    assert group["targets"] == [f"sender:{_ports(_DEPLOY / 'container/sender.toml')[1]}"]


def test_the_networks_of_compose_may_relay(tmp_path: Path) -> None:
    """The subnet that Compose makes is the one that both configurations let relay."""
    (network,) = _COMPOSE["networks"]["default"]["ipam"]["config"]
    (tmp_path / "tokens.toml").touch()
    for name in ("sender.toml", "demo.toml"):
        shutil.copy(_DEPLOY / "container" / name, tmp_path)
        assert network["subnet"] in load(tmp_path / name).smtp.relay_networks


# Kubernetes


@pytest.mark.parametrize(
    "manifest", [manifest for _, manifest in _MANIFESTS], ids=lambda m: f"{m['kind']}-{m['metadata']['name']}"
)
def test_every_manifest_is_what_kubernetes_takes(manifest: dict[str, Any]) -> None:
    """By the schemas of its versions, of which none knows a key that is not there."""
    for version in ("1.29", "1.33"):
        validate(manifest, version, strict=True)


def test_the_kustomization_names_every_file() -> None:
    """No manifest is forgotten, and none is missing."""
    kustomization = yaml.safe_load((_DEPLOY / "kubernetes/kustomization.yaml").read_text())
    files = {path.name for path in (_DEPLOY / "kubernetes").iterdir()} - {"kustomization.yaml"}
    (generated,) = kustomization["configMapGenerator"]
    assert {*kustomization["resources"], *generated["files"]} == files


def test_the_pod_is_restricted_and_looked_after() -> None:
    """It meets the restricted pod security standard that its namespace demands; what hangs is restarted."""
    pod = _pod()
    (container,) = pod["containers"]
    security = container["securityContext"]
    assert (pod["securityContext"]["runAsNonRoot"], security["allowPrivilegeEscalation"]) == (True, False)
    assert (security["capabilities"], security["readOnlyRootFilesystem"]) == ({"drop": ["ALL"]}, True)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


# systemd


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say, of the unit alone and with its drop-in."""
    require(SystemdAnalyze)
    unit = _installed_unit(tmp_path)
    for _ in range(2):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
        )
        assert (done.returncode, [line for line in done.stderr.splitlines() if tmp_path.name in line]) == (0, [])
        drop_in = tmp_path / "sender.service.d"
        drop_in.mkdir(exist_ok=True)
        shutil.copy(_DEPLOY / "systemd/low-ports.conf", drop_in)


def test_the_unit_exposes_little(tmp_path: Path) -> None:
    """`systemd-analyze security` gives it 1.1 of 10: what is left is the network, and users' own files."""
    require(SystemdAnalyze)
    threshold = f"--threshold={_EXPOSURE * 10:.0f}"
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", threshold]
    done = subprocess.run([*command, _installed_unit(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]


def _installed_unit(folder: Path) -> Path:
    """Write the unit as if the program that it starts were installed."""
    unit = folder / "sender.service"
    unit.write_text(_UNIT.replace("/opt/sender/bin/sender", sys.executable))
    return unit


def test_the_unit_keeps_its_promises() -> None:
    """It waits for word that the daemon is ready, wants pings, and does not restart what is configured wrongly."""
    assert _unit_value("Type") == "notify"
    assert _unit_value("WatchdogSec") == "2min"
    assert _unit_value("RestartPreventExitStatus") == "2"


def test_user_and_folders_are_made_as_the_daemon_needs_them(tmp_path: Path) -> None:
    """The drop folder has the mode that the daemon would give it, which its unit forbids it to give."""
    require(SystemdAnalyze)
    require_root_here()
    (tmp_path / "etc").mkdir()
    for program, file in (("systemd-sysusers", "sysusers.conf"), ("systemd-tmpfiles", "tmpfiles.conf")):
        create = ["--create"] if program == "systemd-tmpfiles" else []
        subprocess.run(
            [program, *create, f"--root={tmp_path}", _DEPLOY / "systemd" / file], check=True, capture_output=True
        )
    entry = (tmp_path / "etc/passwd").read_text().strip().split(":")
    assert (entry[0], entry[5], entry[6]) == ("sender", "/var/lib/sender", "/usr/sbin/nologin")
    status = (tmp_path / "var/lib/sender/drop").stat()
    assert (f"{status.st_mode & 0o7777:o}", status.st_uid) == ("3733", int(entry[2]))
    assert load(_DEPLOY / "systemd/sender.toml").drop_path == Path("/var/lib/sender/drop")


# examples


def test_listmonks_settings_are_those_that_it_has() -> None:
    """Every key of an SMTP server in its settings, and no other."""
    (server,) = json.loads((_DEPLOY / "examples/listmonk-smtp.json").read_text())
    assert set(server) == {
        *("enabled", "name", "host", "port", "hello_hostname", "auth_protocol", "username", "password"),
        *("tls_type", "tls_skip_verify", "max_conns", "idle_timeout", "wait_timeout", "max_msg_retries"),
        "email_headers",
    }
    assert server["email_headers"] == [{"X-Sender-Stream": "campaign"}]
