"""A container file carried out without containers: a folder stands for the root, `sh` runs the steps.

- Absolute paths into the folders that the steps make (/src, /opt, /etc, /var) become paths below the folder.
- The second stage has the folder of the first under the same name, so that a virtual environment copied from it works.
- The base image is this machine: its Python, its shell.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

_OURS = re.compile(r"(?<![\w./-])/(?=(?:src|opt|etc|var)\b)")


@dataclass(slots=True)
class Image:
    """What the last stage came to."""

    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: int = 0
    stop_signal: str = ""
    health: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


class Building:
    """Carries out the steps of a file below `root`, with the checkout as its context."""

    def __init__(self, file: Path, context: Path, root: Path) -> None:
        self._steps = _steps(file.read_text(encoding="utf-8"))
        self._context = context
        self._root = root
        self._before = root.with_name(f"{root.name}-before")  # the stage before
        self._allowed, self._ignored = _patterns(context / ".dockerignore")

    def run(self) -> Image:
        """Give the image; a step that fails is an error with what it said."""
        image = Image()
        for name, rest in self._steps:
            image = self._carry_out(image, name, rest)
        return image

    def placed(self, text: str) -> str:
        """Give a text with paths of the container as paths of this machine."""
        return _OURS.sub(f"{self._root}/", text)

    def _carry_out(self, image: Image, name: str, rest: str) -> Image:  # noqa: C901, PLR0912 - a line for each instruction
        match name:
            case "FROM":
                if self._root.exists():
                    self._root.rename(self._before)
                (self._root / "etc").mkdir(parents=True)
                image = Image()
            case "RUN":
                self._run(rest, image)
            case "COPY":
                self._copy(shlex.split(rest))
            case "ENV":
                for word in shlex.split(rest):
                    key, _, value = word.partition("=")
                    image.environment[key] = self.placed(value)
            case "WORKDIR":
                image.directory = self.placed(rest)
            case "USER":
                image.user = int(rest.partition(":")[0])
            case "STOPSIGNAL":
                image.stop_signal = rest
            case "HEALTHCHECK":
                image.health = json.loads(rest.partition(" CMD ")[2])
            case "ENTRYPOINT":
                image.entrypoint = json.loads(rest)
            case "CMD":
                image.command = json.loads(rest)
            case "LABEL" | "EXPOSE" | "VOLUME":
                pass
            case _:
                raise ValueError(f"{name}: nobody has said what this does here")
        return image

    def _run(self, script: str, image: Image) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        environment |= image.environment
        done = subprocess.run(
            ["sh", "-ec", self.placed(script)], env=environment, cwd="/", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"

    def _copy(self, words: list[str]) -> None:
        source = self._context
        if words[0].startswith("--from="):
            source, words = self._before, words[1:]
        *names, target = words
        into = Path(self.placed(target))
        for name in names:
            path = source / name.lstrip("/")
            if source == self._context and not self._in_context(name):
                raise ValueError(f"COPY {name}: .dockerignore leaves it out")
            if path.is_dir():
                shutil.copytree(path, into, symlinks=True, dirs_exist_ok=True, ignore=self._left_out)
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, into)

    def _in_context(self, name: str) -> bool:
        return any(name == allowed or name.startswith(f"{allowed}/") for allowed in self._allowed)

    def _left_out(self, folder: str, names: list[str]) -> set[str]:
        if not Path(folder).is_relative_to(self._context):  # a stage
            return set()
        below = Path(folder).relative_to(self._context)
        return {name for name in names if any((below / name).match(pattern) for pattern in self._ignored)}


def _steps(text: str) -> list[tuple[str, str]]:
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [
        (name, rest.strip())
        for line in re.sub(r"\\\n\s*", "", lines).splitlines()
        if line.strip()
        for name, _, rest in [line.partition(" ")]
    ]


def _patterns(file: Path) -> tuple[list[str], list[str]]:
    """Read what is let in, where nothing else is, and what of that is left out again."""
    first, *lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    assert first == "*"
    return [line[1:] for line in lines if line[0] == "!"], [line for line in lines if line[0] != "!"]
