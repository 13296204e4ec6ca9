"""Settings of a Django project whose mail goes to the daemon on the same machine, or as a user to another one."""

import os

EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = os.environ.get("EMAIL_HOST", "127.0.0.1")
EMAIL_PORT = int(os.environ.get("EMAIL_PORT", "2525"))
EMAIL_TIMEOUT = 30
EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")  # of the daemon's users_file
EMAIL_HOST_PASSWORD = os.environ.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = bool(EMAIL_HOST_USER)
DEFAULT_FROM_EMAIL = "Shop <shop@example.com>"

# A message says what it is: EmailMessage(..., headers=TRANSACTIONAL).
TRANSACTIONAL = {"X-Sender-Stream": "transactional", "X-Sender-Priority": "urgent"}
