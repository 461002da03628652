"""What nobody reports: missed ends and beginnings, silent watchdogs, alerts that expire."""
