"""Thin helpers for the course notebooks.

Layers, each importing only from those below it:

    run       executes the notebooks in order · execution · reproduce
    studies   classify · encoder · finetune
    parts     mrclean · bpe · shards · media · gpt · training
    record    journal · plots · stats · budget
    ground    course · profile · hardware · sources · paths

Nothing heavy is imported here: ``import helpers`` stays under 0.2 s.
"""

__version__ = "0.1.0"
