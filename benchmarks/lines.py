"""The lines of MNIST beyond 99.0 %: `python -m benchmarks.lines --data_dir=FOLDER`.

Rules, for whoever wants to race them: a line of 99.5 % (99.7 %) is held by a recipe whose accuracy
on the 10,000 test images of MNIST is at least that as a mean of ten seeds or more. The recipe is
fixed before test is read and was chosen on images of the training part. Nothing but the 60,000
training images is learned from. The seconds of a fit count from uint8 arrays in memory to trained
parameters, all compilation included, with the programs in the cache (warm) or not (cold); reading
test does not count. The table has the rate of a matrix product of the same machine and run.

Each fit is noted as it is done, and the command goes on where it was stopped: on two cores ten fits
take about ten minutes for the line of 99.5 % and over an hour for that of 99.7 %. The peers that
take up to ten minutes for one fit, P2 and P3, are measured here as well.
"""

import sys

from absl import app, flags

from benchmarks import run
from benchmarks.candidates import LONG

if __name__ == "__main__":
    run.define_flags()
    flags.FLAGS.set_default("candidates", list(LONG))
    app.run(run.main, [sys.argv[0], *sys.argv[1:]])
