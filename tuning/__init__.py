"""The search for better heads, masks and training settings."""
