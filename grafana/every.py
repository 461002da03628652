"""All dashboards, in the order in which they are read, and their text."""

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import bigpanda, bridge, certificates, exporter, overview, packetvis, thousandeyes, vigilmon

DASHBOARDS: tuple[Dashboard, ...] = (
    overview.dashboard(),
    vigilmon.dashboard(),
    thousandeyes.dashboard(),
    packetvis.dashboard(),
    bigpanda.dashboard(),
    certificates.dashboard(),
    bridge.dashboard(),
    exporter.dashboard(),
)


def text(dashboard: Dashboard) -> str:
    """Return a dashboard's JSON as it is committed."""
    return json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
