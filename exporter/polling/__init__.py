"""When to ask whom: poll loops, budgets, schedules, what is kept over a restart; no HTTP."""
