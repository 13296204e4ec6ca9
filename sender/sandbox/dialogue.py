"""The SMTP state machine of a receiver: a command in, a reply out, and what comes next on the wire.

It does no I/O. A script is asked before any rule, except that a command must be well formed.
After a refused DATA or BDAT for want of recipients the transaction stays open, as in Postfix: the peer must RSET.
"""

from __future__ import annotations

from enum import Enum
from math import ceil
from typing import TYPE_CHECKING, ClassVar

from sender.sandbox import syntax
from sender.sandbox.behaviour import Close, Hang
from sender.sandbox.office import Guest, Office, Transaction
from sender.sandbox.syntax import Chunk, Path
from sender.sandbox.voice import raw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sender.sandbox.behaviour import Answer, Behaviour
    from sender.sandbox.content import Content


class Next(Enum):
    """What the session has to do with the bytes that follow."""

    COMMAND = "read a command"
    CONTENT = "read content up to the terminating dot"
    CHUNK = "read the octets of a chunk"
    UPGRADE = "begin TLS"
    CLOSE = "close after the reply"
    ABORT = "reset the connection"
    HANG = "drop what comes"
    DEAF = "stop reading"


class Dialogue:
    """One session's state; `next` is what the session obeys, `chunk` is set while it is `CHUNK`."""

    __slots__ = ("_chunk_fault", "_office", "_transaction", "chunk", "guest", "next")

    def __init__(self, office: Office, peer: str) -> None:
        """Begin before the banner."""
        self._office = office
        self._transaction: Transaction | None = None
        self._chunk_fault = ""
        self.guest = Guest(peer)
        self.chunk = Chunk(size=0, last=False)
        self.next = Next.COMMAND

    @property
    def content(self) -> Content | None:
        """Where the octets of the message go; None when they are to be dropped."""
        return self._transaction.content if self._transaction and not self._chunk_fault else None

    @property
    def between_messages(self) -> bool:
        """No message has begun that has not ended."""
        return self._transaction is None

    def greeting(self) -> bytes:
        """Greet the peer, or refuse it."""
        office = self._office
        if not office.admits(self.guest) and office.behaviour.refuse_at == "banner":
            return self._refuse_session()
        answer = office.script.take("banner")
        return office.voice.banner() if answer is None else self._recite(answer)

    def command(self, line: bytes) -> bytes:
        """Answer a command line, given without its line end."""
        verb, _, argument = line.partition(b" ")
        answer = self._VERBS.get(verb) or self._VERBS.get(verb.upper())
        if answer is None:
            return self._no("500 5.5.2 Error: command not recognized")
        return answer(self, argument)

    def line_too_long(self) -> bytes:
        """Answer a command line beyond the limit."""
        return self._no("500 5.5.2 Error: line too long")

    def content_began(self) -> bytes:
        """Give the scripted answer to the first octets of a message, if there is one."""
        answer = self._office.script.take("content")
        return b"" if answer is None else self._recite(answer)

    def chunk_ended(self) -> bytes:
        """Answer a chunk whose octets have all been read (RFC 3030 2)."""
        self.next = Next.COMMAND
        fault, self._chunk_fault = self._chunk_fault, ""
        transaction = self._transaction
        if fault or transaction is None or transaction.content is None:
            return self._no(fault)
        if self.chunk.last:
            return self.content_ended()
        answer = self._office.script.take("bdat")
        if answer is not None:
            if not _takes(answer):
                self._transaction = None
            return self._recite(answer)
        limit = self._office.behaviour.max_size
        if limit is not None and transaction.content.size > limit:
            self._transaction = None
            return self._no("552 5.3.4 Error: message exceeds the size limit")
        return self._office.voice.say(f"250 2.0.0 Ok: {self.chunk.size} octets received")

    def content_ended(self) -> bytes:
        """Decide about the message, and end the transaction."""
        self.next = Next.COMMAND
        office, transaction, self._transaction = self._office, self._transaction, None
        if transaction is None or transaction.content is None:
            return b""
        answer = office.script.take("end_of_data")
        if answer is not None:
            if _takes(answer):
                office.take(self.guest, transaction, transaction.content)
            return self._recite(answer)
        limit = office.behaviour.max_size
        if limit is not None and transaction.content.size > limit:
            return self._no("552 5.3.4 Error: message exceeds the size limit")
        if not transaction.rcpt_tos:
            return self._no("554 5.5.1 Error: no valid recipients")
        try:
            office.take(self.guest, transaction, transaction.content)
        except OSError:
            return self._no("451 4.3.0 Error: the message could not be recorded")
        return office.voice.message_taken

    def _ehlo(self, argument: bytes) -> bytes:
        return self._greet(argument, extended=True)

    def _helo(self, argument: bytes) -> bytes:
        return self._greet(argument, extended=False)

    def _greet(self, argument: bytes, *, extended: bool) -> bytes:
        name = argument.decode("ascii", "replace").strip()
        if not name.isprintable() or not name or " " in name:
            return self._no("501 5.5.4 Syntax: EHLO hostname")
        office = self._office
        answer = office.script.take("ehlo")
        if answer is None and extended and not office.behaviour.ehlo:
            return self._no("502 5.5.1 Error: command not implemented")
        if answer is None or _takes(answer):
            self.guest.helo = name
            self._transaction = None
        if answer is not None:
            return self._recite(answer)
        return office.voice.ehlo(tls=self.guest.tls) if extended else office.voice.say("250 {name}")

    def _starttls(self, argument: bytes) -> bytes:
        office = self._office
        offered = office.behaviour.tls is not None and not self.guest.tls
        answer = office.script.take("starttls")
        if answer is not None:
            reply = self._recite(answer)
            if offered and _takes(answer) and self.next is Next.COMMAND:
                self.next = Next.UPGRADE
            return reply
        if not offered:
            return self._no("502 5.5.1 Error: command not implemented")
        if argument:
            return self._no("501 5.5.4 Syntax: STARTTLS")
        self.next = Next.UPGRADE
        return office.voice.say("220 2.0.0 Ready to start TLS")

    def secured(self) -> None:
        """Begin anew under TLS (RFC 3207 4.2)."""
        self._transaction = None
        self.guest.helo = ""
        self.guest.tls = True
        self.next = Next.COMMAND

    def _mail(self, argument: bytes) -> bytes:
        path = syntax.read_mail(argument)
        if path is None:
            return self._no("501 5.1.7 Syntax: MAIL FROM:<address>")
        office = self._office
        answer = office.script.take("mail")
        if answer is not None:
            if _takes(answer):
                self._open(path)
            return self._recite(answer)
        if not self.guest.has_slot and not office.admits(self.guest):
            return self._refuse_session()
        objection = self._mail_objection(path)
        if objection:
            return self._no(objection)
        self._open(path)
        return office.voice.mail_taken

    def _mail_objection(self, path: Path) -> str:
        office, guest = self._office, self.guest
        behaviour = office.behaviour
        if not guest.helo:
            return "503 5.5.1 Error: send HELO/EHLO first"
        if self._transaction is not None:
            return "503 5.5.1 Error: nested MAIL command"
        limit = behaviour.max_messages_per_session
        if limit is not None and guest.messages >= limit:
            return behaviour.session_limit_with
        objection = ""
        if path.parameters or not path.address.isascii():
            objection = syntax.mail_objection(path, behaviour, tls=guest.tls)
        if not objection and not office.allows_message(guest):
            return behaviour.rate_with
        return objection or _refused(path.address, behaviour.refused_senders)

    def _open(self, path: Path) -> None:
        self._transaction = Transaction(path.address, path.parameters)

    def _rcpt(self, argument: bytes) -> bytes:
        path = syntax.read_rcpt(argument)
        if path is None:
            self._office.tally.rejected_recipients += 1
            return self._no("501 5.1.3 Syntax: RCPT TO:<address>")
        answer = self._office.script.take("rcpt")
        transaction = self._transaction
        objection = "" if answer is not None else self._rcpt_objection(path, transaction)
        if objection or (answer is not None and not _takes(answer)):
            self._office.tally.rejected_recipients += 1
        elif transaction is not None:
            transaction.rcpt_tos.append(path.address)
            transaction.rcpt_parameters.append(path.parameters)
        if answer is not None:
            return self._recite(answer)
        return self._no(objection, rcpt=path.address) if objection else self._office.voice.rcpt_taken

    def _rcpt_objection(self, path: Path, transaction: Transaction | None) -> str:
        behaviour = self._office.behaviour
        if transaction is None or transaction.content is not None:
            return "503 5.5.1 Error: need MAIL command"
        if len(transaction.rcpt_tos) >= behaviour.max_recipients:
            return behaviour.recipients_with
        if path.parameters or not path.address.isascii():
            utf8 = "SMTPUTF8" in transaction.parameters
            objection = syntax.rcpt_objection(path, behaviour, utf8=utf8)
            if objection:
                return objection
        objection = _mailbox_objection(path.address, behaviour)
        if objection:
            return objection
        wait_s = self._office.greylisted_s(self.guest, transaction.mail_from, path.address)
        return behaviour.greylist_with.replace("{seconds}", str(ceil(wait_s))) if wait_s > 0 else ""

    def _data(self, argument: bytes) -> bytes:
        if argument:
            return self._no("501 5.5.4 Syntax: DATA")
        office, transaction = self._office, self._transaction
        answer = office.script.take("data")
        if answer is not None:
            reply = self._recite(answer)
            if isinstance(answer, str) and answer.startswith("3"):
                self._ask(transaction or Transaction("", syntax.NO_PARAMETERS))
            return reply
        if transaction is None or transaction.content is not None:
            return self._no("503 5.5.1 Error: need RCPT command")
        if not transaction.rcpt_tos:
            return self._no("554 5.5.1 Error: no valid recipients")
        self._ask(transaction)
        return office.voice.data_go

    def _ask(self, transaction: Transaction) -> None:
        transaction.content = self._office.blank()
        self._transaction = transaction
        self.next = Next.CONTENT

    def _bdat(self, argument: bytes) -> bytes:
        if not self._office.behaviour.chunking:
            return self._no("502 5.5.1 Error: command not implemented")
        chunk = syntax.read_bdat(argument)
        if chunk is None:
            return self._no("501 5.5.4 Syntax: BDAT size [LAST]")
        self.chunk = chunk
        self.next = Next.CHUNK
        transaction = self._transaction
        if transaction is None:
            self._chunk_fault = "503 5.5.1 Error: need RCPT command"
        elif not transaction.rcpt_tos:
            self._chunk_fault = "554 5.5.1 Error: no valid recipients"
        elif transaction.content is None:
            transaction.content = self._office.blank()
            return self.content_began()
        return b""

    def _rset(self, argument: bytes) -> bytes:
        if argument:
            return self._no("501 5.5.4 Syntax: RSET")
        answer = self._office.script.take("rset")
        if answer is None or _takes(answer):
            self._transaction = None
        return self._office.voice.ok if answer is None else self._recite(answer)

    def _quit(self, argument: bytes) -> bytes:
        if argument:
            return self._no("501 5.5.4 Syntax: QUIT")
        self._office.tally.quits += 1
        answer = self._office.script.take("quit")
        if answer is not None and not isinstance(answer, str):
            return self._recite(answer)
        self.next = Next.CLOSE
        return self._office.voice.bye if answer is None else raw(answer)

    def _noop(self, _argument: bytes) -> bytes:
        return self._office.voice.ok

    def _vrfy(self, argument: bytes) -> bytes:
        if not argument:
            return self._no("501 5.5.4 Syntax: VRFY address")
        return self._office.voice.say("252 2.0.0 Cannot VRFY user, but will take messages for it")

    def _help(self, _argument: bytes) -> bytes:
        return self._office.voice.say("214 2.0.0 A receiver of the sender sandbox, see RFC 5321")

    _VERBS: ClassVar[dict[bytes, Callable[[Dialogue, bytes], bytes]]] = {
        b"EHLO": _ehlo,
        b"HELO": _helo,
        b"STARTTLS": _starttls,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"BDAT": _bdat,
        b"RSET": _rset,
        b"NOOP": _noop,
        b"VRFY": _vrfy,
        b"HELP": _help,
        b"QUIT": _quit,
    }

    def _refuse_session(self) -> bytes:
        self._office.tally.sessions_refused += 1
        self.next = Next.CLOSE
        return self._office.voice.say(self._office.behaviour.refuse_with, peer=self.guest.peer)

    def _no(self, text: str, **words: object) -> bytes:
        """Refuse a command; beyond the limit of errors, or with 421, the session closes."""
        office, guest = self._office, self.guest
        guest.errors += 1
        limit = office.behaviour.max_errors
        if limit is not None and guest.errors > limit:
            text = office.behaviour.errors_with
        if text.startswith("421"):
            self.next = Next.CLOSE
        return office.voice.say(text, peer=guest.peer, **words)

    def _recite(self, answer: Answer) -> bytes:
        if isinstance(answer, str):
            return raw(answer)
        if isinstance(answer, Close):
            self.next = Next.ABORT if answer.abort else Next.CLOSE
        else:
            self.next = Next.DEAF if answer.deaf else Next.HANG
        return raw(answer.reply)


def _takes(answer: Answer) -> bool:
    return answer.accept if isinstance(answer, Close | Hang) else answer.startswith("2")


def _mailbox_objection(mailbox: str, behaviour: Behaviour) -> str:
    local = mailbox.rpartition("@")[0] or mailbox
    if behaviour.unknown_prefixes and local.startswith(behaviour.unknown_prefixes):
        return behaviour.unknown_with
    if behaviour.full_prefixes and local.startswith(behaviour.full_prefixes):
        return behaviour.full_with
    return _refused(mailbox, behaviour.refused_rcpts)


def _refused(mailbox: str, replies: Mapping[str, str]) -> str:
    return replies.get(mailbox) or replies.get("@" + mailbox.rpartition("@")[2], "") if replies else ""
