"""The application of a worker process, set up by environment variables: `celery -A` this module."""

from __future__ import annotations

import os

from interop.clients.celery_tasks import make_app

app = make_app(os.environ["INTEROP_BROKER"], os.environ["INTEROP_BACKEND"], os.environ["INTEROP_QUEUE"])
