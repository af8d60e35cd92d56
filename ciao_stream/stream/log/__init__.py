"""The Redis half: the server, the log of messages, and what each message says."""
