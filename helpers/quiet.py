"""The transformers library, without progress bars and without warnings that the course itself explains."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():  # it asks for widgets to draw progress bars with; there are none to draw
    warnings.simplefilter("ignore")
    import tqdm.auto  # noqa: F401

import transformers

# peft asks a model for a property whose name transformers changes; both work, and no learner can do anything about it.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)

# At "error": transformers reports a classifier's fresh head as a warning, and notebook 05 tells the learner instead.
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

__all__ = ["transformers"]
