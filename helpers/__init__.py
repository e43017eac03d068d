"""Thin helpers for the course notebooks.

Layers, each importing only from those below it:

    run       executes the notebooks in order · execution · reproduce
    studies   classify · encoder · finetune · own_text
    parts     mrclean · bpe · shards · media · gpt · muon · recipe · training · checkpoint
    record    journal · readme · plots · stats · trend · budget
    ground    course · profile · hardware · sources · paths
    packages  labjournal · mrclean, which know nothing of the course: journal and mrclean above bind them to it

Nothing heavy is imported here: ``import helpers`` stays under 0.2 s.
"""

__version__ = "0.1.0"
