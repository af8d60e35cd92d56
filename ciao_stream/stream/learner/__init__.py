"""The learner: apply each message once, in order; checkpoint, undo, wipe."""
