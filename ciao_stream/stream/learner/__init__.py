"""The learner: applies each message once, in order; checkpoints, undo, wipe."""
