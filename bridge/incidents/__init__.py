"""BigPanda's incidents: callbacks, snoozes as silences, what outlasts its incident."""
