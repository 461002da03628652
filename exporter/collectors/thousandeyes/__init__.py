"""ThousandEyes: which alerts are active in each account group, and on request what http-server tests measure."""
