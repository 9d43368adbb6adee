"""Keeps libraries from talking over the run: what matters is said by the run itself."""

from __future__ import annotations

import logging
import os
import warnings


def quiet() -> None:
    """Silences Lightning's tips and warnings, and TensorFlow's notes on import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    for module in (r"lightning\..*", r"torch\..*", r"lhotse\..*"):
        warnings.filterwarnings("ignore", module=module)
