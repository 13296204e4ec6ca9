"""One message from MAIL to the reply after its content: what is written, what is awaited, what each recipient gets.

No I/O is done here. Commands may be answered one by one or in groups, also behind the content of the message before;
replies are taken in their order, each for the command that it answers. Of a group that is answered as none can be,
nothing is believed.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sender.core.outcome import Trouble
from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.smtp.habits import Way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sender.smtp.offer import Offer
    from sender.smtp.outgoing import Outgoing

_CLOSING = 421
_NOT_NOW = frozenset({500, 502, 503})  # to a command that is right, where it may stand
_NOT_SO = _NOT_NOW | {501, 504}
_CONSENTED = frozenset({Stage.MAIL, Stage.RCPT})  # a 2yz to these is in order wherever it comes
_OBJECTS = re.compile(r"pipelin|synchroni[sz]", re.IGNORECASE)


class Answer(NamedTuple):
    """What one recipient got: a reply at a stage, or a trouble in its place.

    `ours` marks a reply that we gave ourselves, since the receiver has told that it cannot take this message.
    `sent` marks a trouble after the whole content was handed to the network.
    """

    stage: Stage
    reply: Reply | None = None
    trouble: Trouble | None = None
    detail: str = ""
    ours: bool = False
    sent: bool = False

    @property
    def delivered(self) -> bool:
        """The receiver has taken the message for this recipient."""
        return self.stage is Stage.END_OF_DATA and self.reply is not None and self.reply.positive

    @property
    def ambiguous(self) -> bool:
        """The receiver may have taken it: nobody can know."""
        return self.trouble is Trouble.LOST_AFTER_CONTENT or (self.trouble is not None and self.sent)

    def __str__(self) -> str:
        return str(self.reply) if self.reply is not None else self.detail


class OutOfStepError(Exception):
    """A reply that cannot be one to the command that it answers."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows that a receiver mishandles a way that it has announced."""

    way: Way
    why: str


class Transaction:
    """See the module. It begins as written; `chunk` is the content, where BDAT takes it with the envelope.

    `behind` says on which way it goes while the message before is not answered: if the session ends before its turn,
    it has not been tried.
    """

    __slots__ = (
        "_last",
        "_mail_taken",
        "_rcpts_taken",
        "_recipients",
        "_steps",
        "_way",
        "answers",
        "awaited",
        "behind",
        "chunked",
        "closed_by",
        "evidence",
        "followed",
        "go",
        "message",
        "open",
        "sent",
        "undecided",
        "written",
    )

    def __init__(
        self,
        message: Outgoing,
        answers: list[Answer | None],
        offer: Offer,
        *,
        way: Way | None,
        behind: bool = False,
        chunk: bytes | None = None,
        reset: bool = False,
    ) -> None:
        self.message = message
        self.answers = answers
        self.undecided = [index for index, answer in enumerate(answers) if answer is None]
        self.chunked = chunk is not None
        self.behind = behind
        self.followed: Way | None = None  # the way on which another was begun behind its content
        self.written = False  # the envelope was handed to the transport
        self.sent = False  # and every byte of the content
        self.go = False  # the receiver asks for the content
        self.open = False  # the receiver may hold an envelope that has not ended: RSET is owed
        self.closed_by: Reply | None = None
        self.evidence: Evidence | None = None
        self._way = way  # None: step by step
        self._recipients = self.undecided.copy()
        self._mail_taken = False
        self._rcpts_taken = 0
        self._last = Stage.MAIL
        self.awaited: deque[tuple[Stage, int]] = deque()  # what is to be answered; of RCPT, whose
        self._steps: list[bytes] = []
        if self.undecided:
            self._compose(offer, chunk, reset=reset)

    def _compose(self, offer: Offer, chunk: bytes | None, *, reset: bool) -> None:
        message = self.message
        if reset:
            self._add(Stage.RSET, b"RSET\r\n")
        self._add(Stage.MAIL, offer.mail(message))
        for index in self.undecided:
            self._add(Stage.RCPT, offer.rcpt(message, index), index)
        if chunk is None:
            self._add(Stage.DATA, b"DATA\r\n")
        else:
            self._add(Stage.END_OF_DATA, b"BDAT %d LAST\r\n" % len(chunk))
            self._steps.append(chunk)

    def _add(self, stage: Stage, step: bytes, index: int = -1) -> None:
        self.awaited.append((stage, index))
        self._steps.append(step)

    @property
    def stage(self) -> Stage:
        """The stage whose reply is awaited, or that of the last one."""
        return self.awaited[0][0] if self.awaited else self._last

    @property
    def way(self) -> Way | None:
        """How it goes; None: step by step."""
        return self._way

    @property
    def enveloped(self) -> bool:
        """Tell whether the receiver has taken the envelope, and the content is all that is left."""
        return self.go or (self.chunked and self._mail_taken and self._rcpts_taken > 0)

    @property
    def in_company(self) -> bool:
        """Tell whether other replies are awaited at the same time as this one: it could be taken for one of them."""
        alone = self.stage is Stage.END_OF_DATA and not self.chunked and self.followed is None
        return self._way is not None and not alone

    @property
    def chunk_size(self) -> int:
        """Count the bytes of content that are the end of its group."""
        return len(self._steps[-1]) if self.chunked else 0

    def group(self) -> bytes:
        """Give everything up to the first thing that must be waited for."""
        return b"".join(self._steps)

    def written_at_once(self) -> None:
        """The group was handed to the transport."""
        self.written = True
        self.sent = self.chunked

    def steps(self) -> Iterator[bytes]:
        """Give command after command, each when the one before was answered, as long as it makes sense."""
        for step in self._steps:
            if not self.undecided:
                self.awaited.clear()
                return
            yield step

    def content_begins(self, *, whole: bool) -> None:
        """Await the answer to the content, all of which, or a part, was handed to the transport."""
        self.behind = False
        self.sent = whole
        if not self.awaited:
            self.awaited.append((Stage.END_OF_DATA, -1))

    def take(self, reply: Reply) -> None:
        """Take the next reply. Raises OutOfStepError where it, or the group that it ends, makes no sense."""
        stage, index = self.awaited[0]
        if self.closed_by is not None or not (reply.positive and stage in _CONSENTED):
            self._examine(stage, reply)
        self.awaited.popleft()
        self._last = stage
        if reply.code == _CLOSING:
            # It ends the session whatever it answers, and is for all who are undecided (RFC 5321 section 3.8).
            self.closed_by = reply
            self.awaited.clear()
            self._decide(stage, reply)
        elif stage is Stage.RCPT:
            self._rcpt_answered(index, reply)
        else:
            self._answered(stage, reply)
        # Where the content went with the envelope, it may have been taken all the same.
        told = not self.awaited and not (stage is Stage.END_OF_DATA and reply.positive)
        if self.evidence is not None and (told or not self.chunked):
            raise OutOfStepError(self.evidence.why)

    def _rcpt_answered(self, index: int, reply: Reply) -> None:
        if reply.positive:
            self._rcpts_taken += 1
            self.open = True
        elif index in self.undecided:
            self.answers[index] = Answer(Stage.RCPT, reply)
            self.undecided.remove(index)

    def _answered(self, stage: Stage, reply: Reply) -> None:
        if stage is Stage.RSET:
            self.closed_by = None if reply.positive else reply
        elif stage is Stage.MAIL:
            self._mail_taken = self.open = reply.positive
            if not reply.positive:
                self._decide(stage, reply)
        elif stage is Stage.DATA:
            self.go = _intermediate(reply)
            if not self.go:
                self._decide(stage, _never_positive(reply))
        else:
            # RFC 3030 section 2: what a failed BDAT leaves behind is not known.
            self.open = self.chunked and not reply.positive
            self._decide(stage, reply)

    def fail(self, trouble: Trouble, detail: str, *, closing: bool = False) -> None:
        """Answer for those who have no answer: the session is over; `closing` by a reply to an earlier message."""
        unknown = self.sent and bool(self.awaited)
        detail = f"{detail} {self.stage.doing}"
        whom = self.undecided
        # A receiver that has said that it closes, and does, has dealt with nothing more.
        over = trouble is not Trouble.PROTOCOL and (self.closed_by is not None or (self.behind and closing))
        if over or (not unknown and (self.behind or self.evidence is not None)):
            trouble, whom, unknown = Trouble.UNTRIED, self._recipients, False
        elif unknown and trouble in {Trouble.LOST, Trouble.TIMEOUT}:
            trouble = Trouble.LOST_AFTER_CONTENT
        for index in whom:
            self.answers[index] = Answer(self.stage, trouble=trouble, detail=detail, sent=unknown)
        self.undecided = []

    def _examine(self, stage: Stage, reply: Reply) -> None:
        """Look for what no receiver answers that is in step, and for what only one answers that mishandles our way."""
        if self.closed_by is not None:
            raise OutOfStepError(f"went on though it had refused RSET: {self.closed_by}")
        if stage is Stage.RSET and not (reply.positive or reply.code == _CLOSING or self.chunked):
            raise OutOfStepError(f"RSET was answered {reply}")
        if stage is Stage.DATA and _intermediate(reply) and self._rcpts_taken and not self._mail_taken:
            raise OutOfStepError("asked for the content of a message whose sender was refused")
        if stage is Stage.END_OF_DATA and reply.positive:
            if not self.sent:
                raise OutOfStepError(f"answered {reply} before the end of the content")
            if self._rcpts_taken and not self._mail_taken:
                self.undecided = self._recipients.copy()
                raise OutOfStepError(f"answered {reply} to a message whose sender was refused")
        way = self._mishandled(stage, reply)
        if way is not None and self.evidence is None:
            self.evidence = Evidence(way, f"{stage.doing}: {reply}")

    def _mishandled(self, stage: Stage, reply: Reply) -> Way | None:
        """Name the way that a reply shows to be mishandled."""
        if reply.positive:
            return self._way if self.behind and stage is Stage.DATA else None
        if stage is Stage.END_OF_DATA:
            if self.chunked and reply.code in _NOT_SO and self._mail_taken and self._rcpts_taken:
                return Way.CHUNKING
            return self.followed if self.followed is not None and _OBJECTS.search(reply.text) else None
        if _intermediate(reply):
            return self._way if self.behind and stage is not Stage.DATA else None
        # A receiver that has not seen the message before end takes MAIL for one that is nested.
        in_order = {
            Stage.MAIL: self.behind,
            Stage.RCPT: self.behind and self._mail_taken,
            Stage.DATA: self._mail_taken and self._rcpts_taken > 0,
        }
        refused = reply.code in _NOT_NOW and in_order.get(stage, False)
        return self._way if refused or _OBJECTS.search(reply.text) else None

    def _decide(self, stage: Stage, reply: Reply) -> None:
        for index in self.undecided:
            self.answers[index] = Answer(stage, reply)
        self.undecided = []


def _intermediate(reply: Reply) -> bool:
    return 300 <= reply.code < 400  # noqa: PLR2004


def _never_positive(reply: Reply) -> Reply:
    """Read a 2yz to DATA as what it is: an answer out of place, which takes no responsibility for a message."""
    return Reply(451, f"4.5.0 answered {reply} to DATA") if reply.positive else reply
