"""Every dashboard, and the file that it is written to."""

from __future__ import annotations

import json

from deploy.grafana.boards.drawing import draw
from deploy.grafana.boards.node import NODE
from deploy.grafana.boards.overview import OVERVIEW
from deploy.grafana.boards.provider import PROVIDER
from deploy.grafana.boards.streams import STREAMS_BOARD

ALL = (OVERVIEW, PROVIDER, STREAMS_BOARD, NODE)


def texts() -> dict[str, str]:
    """Give the text of each file by its name."""
    return {f"{board.uid}.json": json.dumps(draw(board), indent=1, ensure_ascii=False) + "\n" for board in ALL}
