"""The five vendors' APIs in one process on loopback, faithful to what is known of them, above all in what goes wrong.

`server.Sandbox` is the context manager for tests, `python -m tests.sandbox` the command.
README.md lists every control call.
"""
