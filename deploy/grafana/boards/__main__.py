"""Write the dashboards: `python -m deploy.grafana.boards`."""

from __future__ import annotations

from pathlib import Path

from deploy.grafana.boards.catalogue import texts

_FOLDER = Path(__file__).parents[1] / "dashboards"

for name, text in texts().items():
    (_FOLDER / name).write_text(text, encoding="utf-8")
