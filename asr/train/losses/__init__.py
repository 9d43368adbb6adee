"""What training minimises: the objective, its losses, and tricks for the decoder."""
