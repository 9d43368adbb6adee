"""What a run tells: progress, log, curves, attention pictures, and the model card."""
