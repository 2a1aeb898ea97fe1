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
# # 2. Labels and noise
#
# An answer need not be one class. Here an image gets two labels at once, and then a whole image is
# the answer: the digit without its noise. After that we make more training images out of those we
# have, and let the machine try out parameters.
#
# It takes about six minutes on two cores of a CPU.

# %%
# The project's folder, two above this one.
# %cd -q {_dh[0]}/../..

# %%
from mnist3 import notebook
from mnist3.data import variants
from mnist3.evaluation import denoising, words
from mnist3.reporting import image_figures, study_figures, tables

# %% [markdown]
# MNIST if `MNIST3_DATA_DIR` leads to it, else the embedded digits, which are another and easier
# set. At most 5,000 images train each estimator. Of MNIST's training images a tenth is val; of the
# embedded ones, which are few, a fifth.

# %%
data = notebook.begin()
print(data)
val_fraction = 0.1 if data.source == "mnist" else 0.2
digits = f"experiments/classify.py:source={data.source},val_fraction={val_fraction}"
classify = f"{digits},train_limit=5000"

# %% [markdown]
# ## Two labels an image
#
# Is the digit *large* (7, 8 or 9)? Is it *odd*? Each image has an answer to both, so a 7 is large
# and odd, an 8 is large alone, and a 2 is neither. Being right now has two meanings: `accuracy`
# counts an image only if both labels are right, `accuracy by label` counts each on its own.

# %%
names = ("dummy", "knn", "random_forest", "network")
labelled = {
    name: notebook.run(f"{classify},task=multilabel,learner={name}", data) for name in names
}
tables.of_metrics(
    {name: each.measured["val"] for name, each in labelled.items()},
    ["accuracy", "label_accuracy", "macro_precision", "macro_recall", "macro_f1"],
    f"{labelled['knn'].data}, val",
)

# %% [markdown]
# Look at `dummy` again: it answers without looking, and half of its odd-or-even answers are right.
# Each label is a detector of its own, with a curve of its own. The points mark the thresholds that
# give a precision of 90 %.

# %%
notebook.draw(labelled["random_forest"], "precision_recall")

# %% [markdown]
# The images that cost the network most, by both labels together (a name joined by + has both
# labels):

# %%
notebook.draw(labelled["network"], "worst_images")

# %% [markdown]
# ## An image as the answer
#
# Every pixel gets a random integer from 0 to 99 added. The estimator sees the noisy image and has
# to give back the clean one: 784 answers at once. `dummy` always gives the mean of all training
# images; `knn` votes, pixel by pixel, among the clean versions of the most similar noisy images;
# `network` is a small one of convolutions, which sees fresh noise at every step of its training.
# To keep the votes quick, all three learn from 2,000 images.

# %%
noisy = f"{digits},task=denoise,train_limit=2000"
cleaners = {
    name: notebook.run(f"{noisy},learner={name}", data) for name in ("dummy", "knn", "network")
}
val = cleaners["knn"].examples["val"]
tables.of_metrics(
    {
        "as it came": denoising.denoise_metrics(val.targets, val.inputs),
        **{name: each.measured["val"] for name, each in cleaners.items()},
    },
    ["rmse", "psnr"],
    f"{cleaners['knn'].data}, val",
)

# %%
notebook.draw(cleaners["knn"], "cleaned")

# %%
notebook.draw(cleaners["network"], "cleaned")

# %% [markdown]
# The first row of the table is the noisy image itself: an estimator that does no better had best be
# left out. The neighbours give back what *other people* wrote: a clean digit, but not always this
# one, and parts of strokes may be missing. The network keeps to the strokes that are there. An
# error in grey levels does not tell one kind of mistake from the other; the pictures do.

# %% [markdown]
# ## More images from those we have
#
# A 3 that is moved by one pixel is still a 3, but nearly every pixel has changed. Nearest
# neighbours cannot know that unless they are shown. So each training image comes again, moved by
# one pixel in four directions:

# %%
train = labelled["knn"].dataset.splits["train"]
image_figures.augmented(
    train.images[:4],
    variants.shifted_copies(train.images[:4]),
    f"moved by one pixel (source {data.source}, train)",
    variants.COPIES,
)

# %%
plain = notebook.run(f"{classify},learner=knn", data)
moved = notebook.run(f"{classify},learner=knn,shifted=1", data)

# %% [markdown]
# A network can have fresh distortions at every step instead, never the same twice: moved, turned
# and scaled by random amounts.

# %%
network = notebook.run(f"{classify},learner=network", data)
distorted = notebook.run(
    f"{classify},learner=network"
    " --config.augmentation.shift=1 --config.augmentation.rotation=10.0"
    " --config.augmentation.scale=0.1",
    data,
)
notebook.draw(distorted, "augmented")

# %%
trained = {
    "knn": plain,
    "knn, shifted copies": moved,
    "network": network,
    "network, distorted": distorted,
}
comparison = notebook.compare(trained)
study_figures.comparison(comparison, f"{plain.data}, val")

# %% [markdown]
# Did the copies help, and is the gain more than luck? The intervals and the p-values answer that,
# not the order of the points. Copies must be *plausible*: turn a 6 by 180 degrees and it is a wrong
# 9. And only training images may be copied: a copy of a val image in train would give the answer
# away.

# %% [markdown]
# ## Let the machine try
#
# `knn` has parameters that nobody knows beforehand: how many neighbours vote, and whether near ones
# count more. A *grid search* tries all combinations. Each is judged by *cross-validation*: the
# training images are cut into three folds, and each fold is read by an estimator fitted to the
# other two. Neither val nor test is touched.

# %%
tuned = notebook.run(f"{digits},learner=knn,search=grid,train_limit=2000", data)
print("chosen:", words.settings_text(tuned.learned.parameters))
notebook.draw(tuned, "search")

# %% [markdown]
# Compare the differences between the cells with the ± in them. Often the winner of a grid is one of
# several that are as good, and its own score is flattered, because it is the highest of many. So
# the figure to report comes from elsewhere: from test, once.

# %%
tuned = tuned.with_splits("test")
tables.of_metrics(
    {"val": tuned.measured["val"], "test": tuned.measured["test"]},
    ["n", "accuracy", "macro_f1"],
    f"knn, tuned on {tuned.data}",
)

# %% [markdown]
# And the best of the estimators above, chosen on val:

# %%
winner = trained[comparison.winner].with_splits("test")
tables.of_metrics(
    {"val": winner.measured["val"], "test": winner.measured["test"]},
    ["n", "accuracy", "macro_f1"],
    f"{comparison.winner}: {winner.data}",
)

# %% [markdown]
# ## To remember
#
# - With several labels, say whether an image counts as right only if all of them are.
# - An error in grey levels needs pictures beside it.
# - Copies that keep the meaning teach what does not matter. Make them of training images alone.
# - Search by cross-validation on train. The best score of a search is too good to report.
