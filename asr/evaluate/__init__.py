"""How good a model is: error rates on a manifest."""
