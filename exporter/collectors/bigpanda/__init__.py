"""BigPanda: the number of incidents in each environment, by folder, status and severity."""
