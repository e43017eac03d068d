"""Thin helpers for the course notebooks.

Layers, each importing only from those below it:

    run       executes the notebooks in order
    studies   classify
    parts     mrclean · bpe · gpt · training
    record    journal · plots · budget
    ground    course · profile · hardware · sources · paths

Nothing heavy is imported here: ``import helpers`` stays under 0.2 s.
"""

__version__ = "0.1.0"
