"""Poll loops, rate budgets, schedules, and the snapshots that survive a restart; no HTTP."""
