"""What knows nothing of faces: files, commands, plugins, seeds, devices."""
