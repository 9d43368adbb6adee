"""What a run reports and leaves: progress, log, validation, plots, the model folder and its
card."""
