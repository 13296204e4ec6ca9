"""The drop folder: `sender sendmail` leaves mail in it while no daemon listens, and a daemon takes it from there.

Everybody may add a file, nobody may list them. One is a line of JSON, the envelope, and behind it the content as it is.
Their names, and what a crash in each state leaves:

    NAME.tmp    is being written         removed when it is a day old: who wrote it was told of no success
    NAME.mail   is to be taken           taken at the next look; it was synced before, and the folder behind it
    NAME.*.bad  cannot be taken          kept, for a person to look at

A message is committed with a receipt under its file's name, then its file is removed: a file whose receipt is there was
taken by somebody who had no time to remove it. A file says nothing about who left it: its owner did.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import secrets
import stat
import time
from typing import TYPE_CHECKING

from sender.core.errors import SpoolError
from sender.core.identity import id_text
from sender.intake.acceptance import Origin
from sender.intake.content import RefusedContentError
from sender.intake.dropped import BadFileError, Dropped, sync_folder
from sender.spool.contract import Receipt, ReceiptError

if TYPE_CHECKING:
    from pathlib import Path

    from sender.intake.acceptance import Acceptance, Draft

log = logging.getLogger(__name__)
_NAME = re.compile(r"[0-9A-Za-z]{1,64}\.mail")
_MODE = 0o3733  # files get the folder's group, and only who left one may remove it
_LOOK_EVERY_S = 1.0
_AT_ONCE = 20
_SHOWN = 300  # characters of what is wrong with a file
_UNFINISHED_S = 86400.0  # after that, nobody is writing a file any more


class DropFolder:
    """Takes what is in the folder, now and again."""

    def __init__(self, acceptance: Acceptance) -> None:
        self._acceptance = acceptance
        self._path = acceptance.settings.drop_path
        self._taken: set[str] = set()  # files that could not be removed
        self._left: set[str] = set()  # files that could not be set aside
        self._usable = True
        self._trouble = ""  # why something was left for later, as it was logged last

    async def open(self) -> None:
        """Make the folder, and take what is there; a daemon without it accepts by all other ways."""
        try:
            await asyncio.to_thread(_make, self._path)
        except OSError as error:
            self._usable = False
            log.error("mail in %s is not taken: %s", self._path, error)  # noqa: TRY400 - the cause is the message
        await self.take_all()

    async def watch(self) -> None:
        """Look for ever."""
        while self._usable:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self.take_all()

    async def take_all(self) -> None:
        """Take what is there, the oldest first, while there is room."""
        if not self._usable:
            return
        trouble = ""
        try:
            names = await asyncio.to_thread(self._names)
            for start in range(0, len(names), _AT_ONCE):
                if self._acceptance.closed_for:
                    return
                async with asyncio.TaskGroup() as group:
                    for name in names[start : start + _AT_ONCE]:
                        group.create_task(self._take(name))
        except* (OSError, SpoolError) as errors:
            trouble = str(errors.exceptions[0])
        if trouble and trouble != self._trouble:
            log.error("mail in %s is left for later: %s", self._path, trouble)
        self._trouble = trouble

    def _names(self) -> list[str]:
        """List what is to be taken; forget what nobody will finish."""
        found = []
        with os.scandir(self._path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    changed_at = entry.stat(follow_symlinks=False).st_mtime
                    if _NAME.fullmatch(entry.name):
                        found.append((changed_at, entry.name))
                    elif entry.name.endswith(".tmp") and changed_at < time.time() - _UNFINISHED_S:
                        os.unlink(entry.path)  # noqa: PTH108 - scandir gives no Path
        names = [name for _, name in sorted(found)]
        self._taken.intersection_update(names)
        self._left.intersection_update(names)
        return [name for name in names if name not in self._left]

    async def _take(self, name: str) -> None:
        """Take one file. Raises OSError, SpoolError: it stays for later."""
        path = self._path / name
        try:
            if name not in self._taken:
                await self._accept(path)
                self._taken.add(name)
            await asyncio.to_thread(path.unlink, missing_ok=True)
            self._taken.discard(name)
        except FileNotFoundError:
            pass  # another process has taken it
        except BadFileError as error:
            await self._set_aside(path, str(error))
        except RefusedContentError as error:
            self._acceptance.refused("drop", error.reason)
            await self._set_aside(path, f"refused: {error.reply}")
        except (OSError, SpoolError):
            raise
        except Exception:
            log.exception("%s", path)
            await self._set_aside(path, "a fault of ours")

    async def _accept(self, path: Path) -> None:
        """Make one file the spool's, unless it is already. Raises OSError, SpoolError, and what makes a file bad."""
        settings = self._acceptance.settings
        dropped = await asyncio.to_thread(Dropped, path, settings.smtp.max_message_size)
        try:
            origin = Origin(listener="drop", received=f"from {dropped.user}", protocol="local", complete=True)
            draft = self._acceptance.draft(dropped.envelope, origin)
            try:
                await self._commit(path.name, dropped, draft)
            except BaseException:
                with contextlib.suppress(SpoolError):
                    await draft.drop()
                raise
        except ReceiptError as error:
            if error.found.digest != dropped.digest.digest():
                raise BadFileError("another message was taken under this name") from None
        finally:
            dropped.file.close()

    async def _commit(self, key: str, dropped: Dropped, draft: Draft) -> None:
        while piece := await asyncio.to_thread(dropped.read):
            await draft.feed(piece)
        await draft.commit(
            Receipt(
                owner="drop",
                key=key,
                digest=dropped.digest.digest(),
                taken=len(dropped.envelope.rcpt_tos),
                answer=id_text(draft.id).encode(),
            )
        )

    async def _set_aside(self, path: Path, reason: str) -> None:
        why = reason[:_SHOWN]
        # A part of the new name that nobody can know: it takes the place of no other file.
        aside = path.with_suffix(f".{secrets.token_hex(4)}.bad")
        try:
            await asyncio.to_thread(path.rename, aside)
        except OSError as error:
            self._left.add(path.name)
            log.error("%s: %s; cannot be set aside: %s", path, why, error)  # noqa: TRY400 - the cause is the message
        else:
            log.warning("%s: set aside as %s: %s", path, aside.name, why)


def _make(path: Path) -> None:
    """Make the folder, unless somebody has. Raises OSError where it is not fit for use."""
    try:
        path.mkdir()
    except FileExistsError:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise
        if os.geteuid() not in {0, status.st_uid}:
            raise PermissionError(errno.EPERM, "it belongs to somebody else, so nothing can be removed there") from None
    else:
        path.chmod(_MODE)
        sync_folder(path.parent)
    if not path.parent.stat().st_mode & stat.S_IXOTH:
        log.info("%s: who may not enter %s cannot leave mail there", path, path.parent)
