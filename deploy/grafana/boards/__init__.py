"""The dashboards as a description; `python -m deploy.grafana.boards` writes deploy/grafana/dashboards/*.json."""
