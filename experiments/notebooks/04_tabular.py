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
# # 4. A table
#
# Much data comes as a table: rows, columns, one column to predict. The steps are those of the
# images: look, prepare, choose by cross-validation, read test once. New here are columns of several
# kinds, and missing values.
#
# It takes about a minute on two cores of a CPU.

# %%
# The project's folder, two above this one.
# %cd -q {_dh[0]}/../..

# %%
from mnist3 import notebook
from mnist3.data import tabular
from mnist3.reporting import comparison, tables

# %% [markdown]
# The table comes with the package and is made up: which letters' numbers a machine can read, and
# which a person has to. To study a table of your own, say where it is and what to predict, for
# instance `"experiments/tabular.py --config.data.path=adult.csv --config.data.target=income"`.

# %%
notebook.begin()
config = notebook.load_config("experiments/tabular.py")
table = tabular.load(config.data)
table.features.head()

# %% [markdown]
# ## Columns
#
# A column whose values are all numbers is *numeric*, another is *categorical*. A column with a
# different text in every row only names the row and is ignored. Missing values are written in many
# ways (`?`, `NA`, nothing at all), and all are found.

# %%
print(f"table {table.name}, to predict: {table.target}")
print(tabular.describe_columns(table))

# %% [markdown]
# ## Splits
#
# A fifth of the rows is put away as test, with the same share of each class. There is no val: with
# few rows it is better to choose by cross-validation, in which each training row is held out once.

# %%
compared = notebook.compare_table("experiments/tabular.py")
pictures = dict(comparison.draw_all(compared))
pictures["class_balance"]

# %% [markdown]
# ## Preparation
#
# - A missing number becomes the median of its column, and a new column says that it was missing:
#   that can mean something.
# - Numbers are scaled to mean 0 and spread 1.
# - A category becomes a column for each of its levels. Rare levels share one, and so do levels that
#   turn up only later.
#
# All of this is learned from training rows alone, anew in each fold. A median that has seen test
# rows has leaked something of them.

# %% [markdown]
# ## Learners, tuned
#
# Five kinds, each with a small grid of parameters tried by cross-validation.

# %%
pictures["comparison"]

# %% [markdown]
# The parameters were chosen by the same folds, so these scores flatter a little, most where many
# values were tried. And with some hundred rows intervals are wide: an estimator that cannot be told
# apart from the winner may well be the better one. Then take the one that is easier to explain, or
# quicker.

# %%
pictures["search"]

# %% [markdown]
# ## Test, once
#
# The choice is made. Now each is fitted to all training rows and reads test, for the table; the
# choice stays as it is, whatever test says.

# %%
tables.of_metrics(
    {name: line["test"] for name, line in compared.lines.items()},
    ["accuracy", "precision", "recall", "f1", "roc_auc"],
    f"{table.target} of {table.name}, test",
)

# %%
pictures["roc"]

# %% [markdown]
# As in the first notebook, the confusion matrix says which mistakes are made, not only how many.

# %%
pictures["confusion"]

# %% [markdown]
# ## Which columns matter?
#
# Shuffle the values of one column among the test rows, so that it says nothing any more, and see
# how far accuracy falls. A column whose line crosses zero was perhaps of no use. Two columns that
# say the same can both look useless, because each stands in for the other; and what matters to the
# estimator need not be a *cause*.

# %%
pictures["importance"]

# %% [markdown]
# ## Predictions
#
# The first test rows, each with the predicted class and its probability. A row may have missing
# values.

# %%
examples, predictions = compared.winner.shown
tables.of_probabilities(examples.inputs[:8], predictions.probabilities[:8], table.classes)

# %% [markdown]
# ## To remember
#
# - Look at every column before anything else: its kind, its gaps, what it could give away.
# - Whatever is learned from data, medians and levels too, is learned from training rows.
# - Choose by cross-validation, read test once, and say how wide the interval is.
