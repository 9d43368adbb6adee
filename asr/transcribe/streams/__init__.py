"""Live streams: chunks through the encoder, endpoints, partial and final segments."""
