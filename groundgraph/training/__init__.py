"""The one trainer: its settings, its loop, checkpoints, and several processes; it knows no model and no data set."""
