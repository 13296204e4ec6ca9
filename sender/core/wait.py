"""The wait that a reply names, in several languages: "try again in 300 seconds", "wait 00:05:00", "back after 14:30".

Every length of time in the text is looked at with the words around it: before it must stand that one is to come back,
or behind it that this is later; what is measured ("in the last 10 minutes", "per hour") is no wait.
"""

from __future__ import annotations

import re

_UNITS = (
    (
        1.0,
        (
            r"s|secs?\b\.?|seconds?|sek\.?|sekunden?|secondes?|segundos?|second[oi]|seconden|sekund[aey]?|"
            r"сек(?:унд[аыу]?)?|秒钟?|saniye"
        ),
    ),
    (
        60.0,
        r"m|mins?\b\.?|minutes?|minuten?|minutos?|minut[oiaey]?|minuut|мин(?:ут[аыу]?)?|分钟|分鐘|分|dakika",
    ),
    (
        3600.0,
        (
            r"h|hrs?|hours?|std\.?|stunden?|heures?|horas?|or[ae]|uur|uren|godzin[aye]?|godz|час(?:а|ов)?|"
            r"小时|小時|時間|saat|hodin[aouy]?"
        ),
    ),
    (
        86400.0,
        (
            r"d|days?|tag(?:en?)?|jours?|d[ií]as?|giorn[oi]|dag(?:en)?|dni|dzie[nń]|д(?:ень|ня|ней)|сут(?:ки|ок)|"
            r"天|日|g[uü]n"
        ),
    ),
)
_UNIT = "|".join(f"(?P<unit{index}>{words})" for index, (_, words) in enumerate(_UNITS))
# Counts that are written out; "one" is an article in most languages.
_ONE = ("a", "an", "one", "einer", "une", "un", "una", "uma", "een", "один", "одну")
_COUNTS = {
    **dict.fromkeys(("half an", "half a"), 0.5),
    **dict.fromkeys(_ONE, 1.0),
    **dict.fromkeys(("two", "zwei", "deux", "dos", "due"), 2.0),
    **dict.fromkeys(("three", "drei", "trois", "tres", "tre"), 3.0),
    **dict.fromkeys(("five", "fünf", "cinq", "cinco", "cinque"), 5.0),
    **dict.fromkeys(("ten", "zehn", "dix", "diez", "dez", "dieci"), 10.0),
    "fifteen": 15.0,
    "twenty": 20.0,
    "thirty": 30.0,
    "sixty": 60.0,
}
_COUNT = "|".join(sorted(_COUNTS, key=len, reverse=True))
_LENGTH = re.compile(
    r"(?<![\d.:])(?:(?P<clock>\d{1,3}:\d{2}:\d{2})(?![\d:])"
    rf"|(?:(?P<number>\d{{1,7}}(?:[.,]\d{{1,3}})?)[\s-]?|\b(?P<count>{_COUNT})[\s'’])"
    rf"(?:{_UNIT})(?!(?![\u2e80-\u9fff])[^\W\d_]|\d))",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"\b(?:again|retry|retries|retrying|wait|waiting|later|back|after|resend|delay|delayed|deferred|reconnect|"
    r"resubmit|remaining|expires?|gr[ea]y-?list(?:ed|ing)?|suspended|blocked|banned|throttled|at least|"
    r"rejected for|refused for|limited for|"
    r"erneut|nochmals?|wieder|warten|sp[aä]ter|r[eé]essay\w*|attend\w+|patient\w+|nouveau|apr[eè]s|"
    r"dans|reintent\w*|int[eé]nt\w*|esper\w*|nuevo|dentro|despu[eé]s|tent\w*|aguard\w*|novamente|ap[oó]s|ripro\w*|fra|tra|dopo|"
    r"opnieuw|wacht\w*|probeer|ponown\w*|poczeka\w*|pr[oó]b\w*|za|через|повтор\w*|подожд\w*|попроб\w*|позже|tekrar|sonra)\b"
    r"|再试|重试|稍后|等待|请在|後に|待って|再試行|再送",
    re.IGNORECASE,
)
_LATER = re.compile(
    r"[^.\d]{0,12}(?:\b(?:delay|remaining|left|later|to go|sp[aä]ter|erneut|wieder|opnieuw|plus tard|m[aá]s tarde|"
    r"mais tarde|pi[uù] tardi|sonra|позже)\b"
    r"|后|後|以后|之后)",
    re.IGNORECASE,
)
_MEASURED = re.compile(
    r"\b(?:last|since|past|per|within the|previous|every|each|older than|letzten|derni[eè]res?|[uú]ltim[oa]s?|"
    r"ultimi|ultime|afgelopen|ostatnich|последни[ех])\s*$",
    re.IGNORECASE,
)
_ALONE = re.compile(r"[(\[]\s*$")  # "(300 seconds)"
_BARE = re.compile(r"\bretry[-_ ]?(?:after|in|time)\s*[:=]?\s*(\d{1,6})\b(?!\s*[:/.-]?\s*\w)", re.IGNORECASE)
_AND = re.compile(r"[\s,]*(?:and|und|et|y|e|en|i|и)?\s*$", re.IGNORECASE)
_TIME_OF_DAY = re.compile(
    r"(?<![\d:])(?P<hour>[01]?\d|2[0-3])[:h](?P<minute>[0-5]\d)"
    r"(?::(?P<second>[0-5]\d))?(?![\d:])"
    r"\s*(?P<half>[ap]\.?m\b)?\s*(?P<zone>[+-]\d{2}:?\d{2})?",
    re.IGNORECASE,
)
_COME_BACK = re.compile(rf"{_ASKING.pattern}|\buntil\b|\bnot before\b", re.IGNORECASE)
_BEFORE, _SOON = 60, 40  # characters before a length that are looked at, and before a time of day
_DAY_S = 86400.0
SHORTEST_S, LONGEST_S = 1.0, 6 * 3600.0
MARGIN = 1.1  # waiting a little longer than asked costs less than coming too early


def wait_named_in(words: str, now_s: float | None = None) -> float | None:
    """Find the wait in seconds that a text asks for, or None.

    A time of day is counted from `now_s`, seconds since the epoch; without a zone in the text it is taken to be UTC.
    Without `now_s` it is not honoured.
    """
    found: re.Match[str] | None = None
    wait_s = 0.0
    for match in _LENGTH.finditer(words):
        if found is not None:
            if _AND.fullmatch(words, found.end(), match.start()) and not match["clock"] and not found["clock"]:
                return wait_s + _seconds(match)
            return wait_s
        if _asks(words, match):
            found, wait_s = match, _seconds(match)
    if found is not None:
        return wait_s
    bare = _BARE.search(words)
    if bare is not None:
        return float(bare[1])
    return _until(words, now_s) if now_s is not None else None


def _asks(words: str, match: re.Match[str]) -> bool:
    before = words[max(0, match.start() - _BEFORE) : match.start()]
    if _MEASURED.search(before):
        return False
    if _LATER.match(words, match.end()) or _ALONE.search(before):
        return True
    asked = [asking.end() for asking in _ASKING.finditer(before)]
    # No other sentence and no other figure between what is asked and the length.
    return bool(asked) and not re.search(r"\d|[.;!?]\s", before[asked[-1] :])


def _seconds(match: re.Match[str]) -> float:
    if match["clock"]:
        hours, minutes, seconds = map(int, match["clock"].split(":"))
        return float(hours * 3600 + minutes * 60 + seconds)
    each = next(each for index, (each, _) in enumerate(_UNITS) if match[f"unit{index}"] is not None)
    count = _COUNTS[match["count"].lower()] if match["count"] else float(match["number"].replace(",", "."))
    return count * each


def _until(words: str, now_s: float) -> float | None:
    """Read a time of day at which one is asked to come back."""
    for match in _TIME_OF_DAY.finditer(words):
        if not _COME_BACK.search(words[max(0, match.start() - _SOON) : match.start()]):
            continue
        hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
        if match["half"]:
            hour = hour % 12 + (12 if match["half"][0] in "pP" else 0)
        then_s = hour * 3600 + minute * 60 + second - _east_s(match["zone"] or "")
        return (then_s - now_s) % _DAY_S or _DAY_S
    return None


def _east_s(zone: str) -> float:
    digits = zone[1:].replace(":", "")
    length_s = int(digits[:2] or 0) * 3600.0 + int(digits[2:] or 0) * 60.0
    return -length_s if zone.startswith("-") else length_s


def honoured(retry_after_s: float) -> float:
    """Give the seconds to wait for a wait that was named: 10 % more, from 1 second to 6 hours."""
    return min(max(retry_after_s * MARGIN, SHORTEST_S), LONGEST_S)
