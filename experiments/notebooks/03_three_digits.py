# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Three digits
#
# An image shows a number of three digits, each at a height of its own. An image counts as read only
# if all three are right: *exact match*. Three models try it, one is tuned, and we look at what it
# sees.
#
# It takes three to six minutes on two cores of a CPU.

# %%
# The project's folder, two above this one.
# %cd -q {_dh[0]}/../..

# %%
from mnist3 import notebook
from mnist3.data import augmentation
from mnist3.jobs import audit
from mnist3.reporting import figures, image_figures, study_figures, tables

# %% [markdown]
# If `MNIST3_DATA_DIR` leads to MNIST and to `triple_mnist.zip`, this page reads triple MNIST as it
# was published, and learns from 12,000 of its images. Without them it composes numbers from the
# embedded digits, which are another and easier set.

# %%
data = notebook.begin()
print(data)
three = f"experiments/three_digits.py:data={data.numbers},source={data.source}"
config, dataset = notebook.load(three, data)
print("splits at hand:", *dataset.splits)

# %%
val = dataset.splits["val"]
some = slice(0, None, len(val) // 18)  # the images may be in the order of their numbers
about = f"{dataset.name} from {dataset.source}"
figures.examples(val.images[some], val.labels[some], "0123456789", f"{about}, val", limit=18)

# %% [markdown]
# A digit may be more frequent at one position than at another, because each split holds only some
# of the 1,000 numbers:

# %%
figures.class_balance(dataset.numbers, "0123456789", about, composed=dataset.stream is not None)

# %% [markdown]
# ## Preparing the images
#
# Little is needed. Pixels are bytes from 0 to 255 and stay so until a model takes them; then they
# are divided by 255. Training images may be turned, scaled and slanted at random, so that a model
# sees more handwriting than there is. Too much of it, and an image is no longer the number it is
# labelled with:

# %%
config.augmentation.update(rotation=8.0, scale=0.1, shear=8.0)
image_figures.augmented(
    val.images[some][:3],
    augmentation.augmented_copies(val.images[some][:3], config.augmentation, copies=4),
    f"turned, scaled and slanted ({about})",
)

# %% [markdown]
# ## What do the splits share?
#
# Ask this of every dataset before you believe a score. No *number* of val occurs in train here, so
# a model cannot have learned numbers by heart. But each number is made of three *digit images*, and
# those may occur in train too, as part of other numbers. The audit finds every digit image again
# and counts. It is asked of all images at hand, not only of those that this page trains on.

# %%
_, whole = notebook.load(f"{three},images=64000", data)
print(audit.audit_dataset(whole, data.folder).to_text())

# %% [markdown]
# The published triple MNIST was made from one pool of digit images for all splits, so nearly all
# that val shows was seen in training, pixel for pixel, in another place. A good score on its val
# says that a model can *put together* what it knows; it does not say how it reads handwriting that
# it has never seen. Composed numbers draw the digit images of each split from a pool of its own,
# and share none. (`experiments/strict.py` composes such numbers from MNIST.)

# %% [markdown]
# ## Three models
#
# - `logistic` weighs every pixel, for each position and digit: no idea of shape.
# - `cnn` finds shapes with convolutions, and has one output for each of the 1,000 numbers.
# - `multihead` finds shapes with the same kind of convolutions, and has a *head* for each position,
#   which names one digit.

# %%
readers = {
    name: notebook.run(f"{three},model={name}", data) for name in ("logistic", "cnn", "multihead")
}
tables.of_metrics(
    {name: each.measured["val"] for name, each in readers.items()},
    ["exact_match", "digit_accuracy", "macro_f1", "nll"],
    f"{about}, val",
)

# %% [markdown]
# Look at `cnn`: it may have single digits right, and yet its exact match is nothing. The numbers of
# val never occurred in training, so their outputs were never asked for and have only learned to
# keep silent. A model with a head for each position can name a number that it has never seen. How
# the splits are made decides what a score can show.

# %% [markdown]
# ## Tuning
#
# The learning rate is how far each step goes: too small, and training does not arrive; too large,
# and it jumps about. Three values, the first of which `multihead` above had, judged on val.
# All else is equal, the number of epochs too: a rate that had more of them would prove nothing.
# Where the best stands at an end of the row, the row is too short.

# %%
rates = {"0.015": readers["multihead"]}
for rate in ("0.045", "0.135"):
    rates[rate] = notebook.run(f"{three},learning_rate={rate}", data)
tried = notebook.compare(rates)
study_figures.comparison(tried, f"multihead by learning rate, {about}, val")

# %% [markdown]
# With the best of them, and three epochs instead of one: to look at, since in the comparison below
# each model has one. The curve of val is the one to watch: where it turns up while that of train
# still falls, a model learns by heart.

# %%
best = notebook.run(f"{three},learning_rate={tried.winner},epochs=3", data)
notebook.draw(best, "learning_curves")

# %% [markdown]
# ## What it looks at
#
# The first layer holds small filters, each a pattern that it searches for everywhere: edges,
# strokes in one direction.

# %%
notebook.draw(best, "filters")

# %% [markdown]
# A *feature map* shows where in the image a pattern was found. Deeper layers see larger pieces of
# the digit, more coarsely. The network first cuts out a window around the ink at each position;
# these are the maps of the first one.

# %%
notebook.draw(best, "feature_maps")

# %% [markdown]
# And backwards: which pixels would change the answer? The more orange the ink, the more would the
# score of what was read change without it. A model that looks at the strokes is easier to trust
# than one that looks at the margin.

# %%
notebook.draw(best, "saliency")

# %% [markdown]
# ## Results
#
# Is one position harder than another?

# %%
notebook.draw(best, "position_accuracy")

# %%
notebook.draw(best, "confusion")

# %% [markdown]
# The misread images, the most confident mistakes first. Ask of each: could you read it?

# %%
notebook.draw(best, "misread")

# %% [markdown]
# ## Which model is best, and why?
#
# All models read the same images of val, so they are compared on those that one alone had right.
# Each has seen its training images once; `multihead` has the rate that was best.

# %%
comparison = notebook.compare({**readers, "multihead": rates[tried.winner]})
study_figures.comparison(comparison, f"{about}, val")

# %% [markdown]
# - `logistic` has no notion of a shape that moves. Each digit stands at a height of its own, so the
#   same pixel means something else in every image.
# - `cnn` knows shapes, but treats a number as one indivisible class.
# - `multihead` knows shapes *and* that a number is made of digits. It needs no example of a number
#   to read it. That, not its size, is why it wins.
#
# The choice was made on val, which may flatter the winner. A split that had no say is the better
# judge, where there is one: triple MNIST as it circulates has no test images, so there is nothing
# to say of test then. Mind too what the audit said of its val.

# %%
tables.of_metrics(
    {
        f"{epochs}, {split}": measured
        for epochs, learned in (("one epoch", rates[tried.winner]), ("three epochs", best))
        for split, measured in learned.with_splits("test").measured.items()
    },
    ["n", "exact_match", "digit_accuracy", "macro_f1", "nll", "ece"],
    f"multihead: {about}",
)

# %% [markdown]
# ## To remember
#
# - Find out what the splits share, and say it beside every score.
# - A model can only answer what its outputs can express.
# - Look at filters, maps and mistakes: they say *why*, where a score says *how much*.
