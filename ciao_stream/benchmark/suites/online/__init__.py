"""Suite online: each task as a stream, predicted before it is learned, compared with offline training."""
