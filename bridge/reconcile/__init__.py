"""What nobody tells: missed ends and beginnings, silent watchdogs, alerts that expire."""
