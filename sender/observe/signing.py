"""Signatures of the webhook, as Standard Webhooks has them (HMAC-SHA256), and the key that makes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from sender.core.errors import ConfigError, Problem
from sender.events_settings import secret_key

if TYPE_CHECKING:
    from sender.settings import Settings


def signing_key(settings: Settings) -> bytes:
    """Give the key; empty: nothing is signed. Raises ConfigError where its file cannot be used."""
    events = settings.events
    if not events.webhook_secret_file:
        return secret_key(events.webhook_secret)
    path = settings.path(events.webhook_secret_file)
    try:
        secret = path.read_text(encoding="utf-8").strip()
        key = secret_key(secret)
    except OSError as error:
        raise ConfigError([Problem(str(path), "", None, f"cannot be read: {error.strerror}")]) from error
    except ValueError as error:
        raise ConfigError([Problem(str(path), "", None, str(error))]) from error
    if not key:
        raise ConfigError([Problem(str(path), "", None, "must have the secret in it")])
    return key


def signed(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Give the headers of a request that is sent at `timestamp`, in seconds since 1970."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if key:
        content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
        signature = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
        headers["webhook-signature"] = f"v1,{signature}"
    return headers
