"""BigPanda's incidents: callbacks, silences for snoozes, alerts that outlast their incident."""
