"""Suite online: each task as a stream, answered before it is learned, beside what offline training gives."""
