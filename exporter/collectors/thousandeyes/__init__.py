"""ThousandEyes: the active alerts of each account group and, if configured, test results, agents and usage."""
