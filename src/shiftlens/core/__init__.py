"""What every room needs and none owns: errors, shapes, crash-safe files, registries."""
