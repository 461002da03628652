"""The dashboards as code: one module for each, and what they share.

    palette     colours that colour-blind people can tell apart, thresholds, words for values
    queries     selectors bound to the dashboard's variables, joins that more than one dashboard needs
    variables   data source, job, instance, and those chained after them
    panels      stat, lines, bars, table, timeline, heatmap: each with title, description and unit
    board       a whole dashboard: identity, links, variables, panels
    <name>      what `dashboards/vendorwatch-<name>.json` shows

`python -m grafana` writes the JSON. Grafana is given that; nothing here runs in production.
"""
