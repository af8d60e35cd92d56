"""One learner per stream, each an actor of Ray."""
