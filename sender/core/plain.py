"""The text of a reply made plain, so that only its words decide: links, hosts, addresses and ids are taken out.

What is left is folded to lower case without accents. An IP address becomes `ip`, a mailbox address becomes `@`, and a
host name becomes `~`: each is a noun of a sentence, and none can be mistaken for what the sentence says about it.
"""

from __future__ import annotations

import re
import unicodedata

_LINK = re.compile(
    r"<?\b(?:https?|mailto):\S*|\bwww\.\S+|\b[\w-]+(?:\.[\w-]+)+/[^\s,;)]*",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"<?[^\s<>()\[\],;:\"']+@[^\s<>()\[\],;:\"']+>?|<>")
_IP = re.compile(
    r"\[?\b(?:IPv6:)?(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4})+|[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*::[0-9a-f:]+)\b"
    r"(?:/\d{1,3})?(?:\s+\d+)?\]?",
    re.IGNORECASE,
)
# A host has three labels, or ends in a top-level domain that is no word: "again later.Please" is two sentences.
_HOST = re.compile(
    r"\b[\w-]+(?:\.[\w-]+)+\.[a-z]{2,18}\b\.?|\b[\w-]+\.(?:com|net|org|edu|gov|info|biz|[a-z]{2})\b(?!\.\w)"
)
_WORDS_IN_CAPITALS = re.compile(r"\b[A-Za-z]+(?:\.[A-Z]{2,}\w*|\.[A-Z][a-z]+[A-Z]\w*)+\b")  # RESOLVER.ADR.RecipNotFound
_ID = re.compile(r"(?<![\w@.])(?=[\w=+/-]*\d)(?=[\w=+/-]*[A-Za-z])[\w=+/-]{10,}(?:\.[\w=+/-]+)*|_{2}[\w.=+-]{8,}")
_NOISE = re.compile(  # who we are, ids, and who said it first
    r"^\s*\[[\d.:a-f]+(?:\s+\d+)?\]\s+(?=(?:Our|The|This|Messages?|Your)\b)"
    r"|\brelay=\S+|\b(?i:\w*id)=\S+|\bhost \S+?\[\S*\] said: "
)
_STATUS = re.compile(r"#?\b[245]\.\d{1,3}\.\d{1,3}\b")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_WHOLE = {"ca": "can", "wo": "will"}
_CAN_NOT = re.compile(r"\b(ca|wo|do|does|did|is|are|was|were|has|have|had|could|should|would)n'?t\b")
# Why a server does something, and that it hangs up, is not what is the matter.
_PURPOSE = re.compile(
    r"\b(?:in order |as a means )?(?:to|of) (?:best |help |better )?"
    r"(?:protect|prevent|reduce|reducing|avoid|fight|combat|preventing)\b[^.;]*?\b(?:spam|phishing|abuse|malware)\b"
    r"(?: (?:and|or) \w+)?(?: sent to \w+)?"
    r"|\bto (?:best |better )?(?:protect|help|serve) (?:our|its) (?:users|customers|members|subscribers)\b",
    re.IGNORECASE,
)
_HANGING_UP = re.compile(
    r"\b(?:clos|dropp|terminat|abort|shutt|disconnect)\w*(?: down)? (?:the |this |your )?"
    r"(?:smtp |transmission )*(?:connection|channel|session|link)s?\b"
    r"|\bconnection (?:will be |is |has been |now )?(?:closed|dropped|closing|terminated)\b",
    re.IGNORECASE,
)
_NO_WORD = re.compile(r"[^\w@~.;!?/]+|_")
_BREAK = re.compile(r"\s*[.;!?]+(?=\s|$)")  # the end of a sentence
_JOINED = (
    (re.compile(r"\be mail"), "email"),
    (re.compile(r"\bmail box"), "mailbox"),
    (re.compile(r"\bcannot\b"), "can not"),
    (re.compile(r"\bstart ?tls\b"), "tls"),
    (re.compile(r"\banti spam"), "antispam"),
)
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "æ": "ae", "đ": "d", "ı": "i", "ё": "е", "’": "'", "‘": "'", "`": "'"})
_LATIN = re.compile(r"([a-z])[\u0300-\u036f]+")
LIMIT = 1200  # what decides stands at the beginning


def plain(text: str) -> str:
    """Give the words of a text. A sentence ends in ` . `."""
    text = _NOISE.sub(" ", _LINK.sub(" ", text[: 2 * LIMIT].translate(_LETTERS)))
    text = _HANGING_UP.sub(" ", _PURPOSE.sub(" ", text))
    text = _ADDRESS.sub(" @ ", text)
    text = _IP.sub(" ip ", text)
    text = _WORDS_IN_CAPITALS.sub(lambda match: match[0].replace(".", " "), text)
    text = _STATUS.sub(" ", _HOST.sub(" ~ ", text))
    text = _CAMEL.sub(" ", _ID.sub(" ", text)).casefold().translate(_LETTERS)
    text = unicodedata.normalize("NFC", _LATIN.sub(r"\1", unicodedata.normalize("NFKD", text)))
    text = _CAN_NOT.sub(lambda match: f"{_WHOLE.get(match[1], match[1])} not", text)
    text = _NO_WORD.sub(" ", _BREAK.sub(" . ", text).replace("...", " "))
    for apart, together in _JOINED:
        text = apart.sub(together, text)
    return " ".join(text.split())[:LIMIT]
