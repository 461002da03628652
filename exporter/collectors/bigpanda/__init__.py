"""BigPanda: how many incidents each environment holds, by folder, status and severity."""
