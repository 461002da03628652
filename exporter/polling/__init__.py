"""Poll loops, rate budgets, schedules, the snapshots that survive a restart, and the cached page; no HTTP."""
