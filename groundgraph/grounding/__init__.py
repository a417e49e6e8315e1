"""Stage 1: which region each entity of a caption means."""
