"""The study of chapter 3 of a well-known textbook on MNIST, its published figures beside ours.

Measured on MNIST with scikit-learn 1.9.1: 36 published figures match and three differ, those of SGD
on ten classes (folds plain and scaled, scores of the first image); the table says why. 857 s the
first time, 11 s the second, at an earlier commit with the same fits, on two cores of an AMD EPYC
(Zen 4):

    python -m experiments.textbook
    python -m experiments.textbook --source=digits --parts=binary,noise --workdir=runs/textbook

It is a client of the package, as the notebooks are: `study` has the data and the fits that several
steps rest on, `steps` the chapter's steps, `published` its figures, `page` the table and the report
of both, `run` what a run does, `command` the flags.
"""
