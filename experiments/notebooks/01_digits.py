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
# # 1. One digit
#
# A machine looks at a small image and says which digit is on it. First we ask it a simpler
# question, *is this a 3?*, and see why accuracy alone says little. Then it names all ten digits,
# and we study its mistakes.
#
# All work is done by the package `mnist3`. The text given to `notebook.fit` is what stands behind
# `--config=` on the command line: `python launch.py --config=...` does the same and leaves a
# report.
#
# It takes about two minutes on two cores of a CPU.

# %%
# The project's folder, two above this one.
# %cd -q {_dh[0]}/../..

# %%
from mnist3 import notebook
from mnist3.evaluation import classification, curves, error_analysis
from mnist3.reporting import (
    classification_figures,
    figures,
    image_figures,
    study_figures,
    tables,
)

# %% [markdown]
# ## Which data?
#
# If the environment variable `MNIST3_DATA_DIR` names a folder with the official files, this page
# works on MNIST: 28 x 28 pixels, grey levels from 0 (paper) to 255 (ink). Without them it takes the
# 1,797 digits that ship inside scikit-learn, which are smaller, cleaner and easier. A result on one
# says nothing about the other, so every title names its *source*.

# %%
data = notebook.begin()
print(data)

# %% [markdown]
# ## Look first
#
# The images are divided into three *splits* that share no image. An estimator learns from
# **train**. We choose between estimators, and tune them, on **val**. **Test** is for one look at
# the very end: whoever chooses by test has no honest figure left to report. To be quick, this page
# trains on at most 5,000 images.

# %%
classify = f"experiments/classify.py:source={data.source},train_limit=5000,val_fraction=0.2"
_, dataset = notebook.load(classify, data)
figures.class_balance(dataset.numbers, "0123456789", f"source {data.source}")

# %%
train = dataset.splits["train"]
image_figures.digit_grid(train.images, f"source {data.source}, train")

# %% [markdown]
# To the machine an image is a table of numbers, no more:

# %%
image_figures.digit(train.images[0], str(train.labels[0, 0]), f"source {data.source}, train")

# %% [markdown]
# ## A detector: is this a 3?
#
# Two estimators answer. `dummy` never looks at the image and always says *no*. `sgd` weighs every
# pixel and adds up: a linear classifier, fitted by stochastic gradient descent. It stops early,
# when a tenth of the training images that it keeps aside are read no better.

# %%
detector = f"{classify},task=binary,digit=3"
early = "--config.learner.parameters.early_stopping=True"
dummy = notebook.run(f"{detector},learner=dummy", data)
sgd = notebook.run(f"{detector},learner=sgd {early}", data)
tables.of_metrics(
    {"dummy": dummy.measured["val"], "sgd": sgd.measured["val"]},
    ["accuracy", "precision", "recall", "f1"],
    f"{sgd.data}, val",
)

# %% [markdown]
# **Accuracy misleads.** Only about one image in ten is a 3, so `dummy` is right most of the time
# and has not found a single one. Two other questions tell more:
#
# - **Precision**: of the images called a 3, how many are one?
# - **Recall**: of all the 3s, how many were found?
#
# F1 is a mean of both (the harmonic one), which is high only if both are.
#
# Both can be read from the confusion matrix. Rows are the truth, columns the answer: precision
# looks down the column of the 3s, recall along their row.

# %%
notebook.draw(sgd, "confusion")

# %% [markdown]
# ## What a threshold does
#
# `sgd` gives each image a score and calls it a 3 if the score is at least 0. That 0 is a choice.
# Raise the threshold and only sure cases are called a 3: precision tends to rise, recall falls.
# Lower it and the reverse happens. The detector itself stays the same.

# %%
curve = notebook.precision_recall(sgd)
precise = curves.threshold_for_precision(curve, 0.9)
thorough = curves.threshold_for_recall(curve, 0.9)
tables.of_points(
    {
        "as it comes": curves.at_threshold(curve, 0.0),
        "90 % precision wanted": precise,
        "90 % recall wanted": thorough,
    },
    sgd.about,
)

# %%
classification_figures.thresholds(curve, precise, sgd.about)

# %% [markdown]
# Which one is right depends on what a mistake costs. A filter that hides things from people had
# better be precise; a search for something dangerous had better be thorough.
#
# A curve of precision against recall shows all thresholds at once, and so compares detectors
# without a choice of threshold. The ROC curve draws recall against false alarms. Where positives
# are rare, the first one is the stricter judge: compare how far the curves lie apart in each.

# %%
detectors = {
    "sgd": sgd,
    "random forest": notebook.run(f"{detector},learner=random_forest", data),
    "network (a small CNN)": notebook.run(f"{detector},learner=network", data),
}
classification_figures.precision_recall_curves(
    {name: notebook.precision_recall(each) for name, each in detectors.items()}, f"{sgd.data}, val"
)

# %%
classification_figures.roc_curves(
    {name: notebook.roc(each) for name, each in detectors.items()}, f"{sgd.data}, val"
)

# %% [markdown]
# The threshold for 90 % precision was chosen on val, where it fits by construction. Does it keep
# its word on images that had no say? That is what test is for.

# %%
on_test = notebook.precision_recall(sgd.with_splits("test"), "test")
tables.of_points(
    {
        "val, where it was chosen": precise,
        "test": curves.at_threshold(on_test, precise.threshold),
    },
    f"sgd on {sgd.data}",
)

# %% [markdown]
# ## Ten classes
#
# Now the question is *which digit?* Four kinds of estimator, one of them twice: linear (`sgd`, on
# raw pixels and on pixels scaled to the same spread), the nearest known images (`knn`), many
# decision trees (`random_forest`), and a small convolutional network (`network`).

# %%
variants = {
    "sgd": f"learner=sgd {early}",
    "sgd, scaled": f"learner=sgd,scale=1 {early}",
    "knn": "learner=knn",
    "random forest": "learner=random_forest",
    "network": "learner=network",
}
fitted = {name: notebook.run(f"{classify},{each}", data) for name, each in variants.items()}
tables.of_metrics(
    {name: each.measured["val"] for name, each in fitted.items()},
    ["accuracy", "macro_precision", "macro_recall", "macro_f1"],
    f"{fitted['network'].data}, val",
)

# %% [markdown]
# In brackets are 95 % intervals: other val images would have given another figure within about that
# range. Where intervals overlap, a higher figure may be luck. A paired test looks closer, because
# all estimators read *the same* images: it counts those that one alone had right.

# %%
comparison = notebook.compare(fitted)
study_figures.comparison(comparison, f"{fitted['network'].data}, val")

# %% [markdown]
# ## What it finds hard
#
# Where does a weaker estimator go wrong? The first panel counts, the second shows shares of each
# row. The third leaves the right answers out, so that the mistakes can be seen.

# %%
linear = fitted["sgd, scaled"]
notebook.draw(linear, "confusion")

# %%
counts = classification.confusion(
    linear.examples["val"].targets, linear.predictions["val"].values, len(linear.task.classes)
)
tables.of_confusions(
    error_analysis.most_confused(counts, 5), linear.task.classes, f"sgd, scaled; {linear.data}, val"
)

# %% [markdown]
# Pictures say more than counts. Here is the most confused pair: right answers on the diagonal,
# mistakes off it.

# %%
notebook.draw(linear, "pair_gallery")

# %% [markdown]
# And these are the images on which the network lost most. Some would puzzle a person too; nobody
# can blame it for those. Others are plain digits, and they tell what to work on: more training
# images of that kind, or distorted copies of those we have, as in the next notebook.

# %%
network = fitted["network"]
notebook.draw(network, "worst_images")

# %% [markdown]
# Does it at least know when it is unsure? If so, of the images that it reads with 70 % confidence,
# about 70 % are right, and the points lie on the dotted line.

# %%
notebook.draw(network, "reliability")

# %% [markdown]
# ## One look at test
#
# The estimator was chosen on val, so its figure there may be flattered. This is the honest one:

# %%
winner = fitted[comparison.winner].with_splits("test")
tables.of_metrics(
    {"val": winner.measured["val"], "test": winner.measured["test"]},
    ["n", "accuracy", "macro_f1", "log_loss"],
    f"{comparison.winner}: {winner.data}",
)

# %% [markdown]
# ## To remember
#
# - Compare accuracy with that of an estimator that looks at nothing.
# - Precision and recall pull against each other; the threshold decides between them, and you choose
#   it.
# - Give an interval with every figure, and compare estimators on the same images.
# - Look at the mistakes. Then choose on val, and read test once.
