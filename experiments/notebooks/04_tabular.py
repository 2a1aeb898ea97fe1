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

# %%
# The project's folder, two above this one.
# %cd -q {_dh[0]}/../..

# %%
from mnist3.data import tabular as tables_of_data
from mnist3.evaluation import selection
from mnist3.jobs import notebook, tabular, tabular_output
from mnist3.reporting import study_figures, tables

# %% [markdown]
# The table comes with the package and is made up: which letters' numbers a machine can read, and
# which a person has to. To study a table of your own, say where it is and what to predict, for
# instance `"experiments/tabular.py --config.data.path=adult.csv --config.data.target=income"`.

# %%
notebook.begin()
config = notebook.load_config("experiments/tabular.py")
table = tables_of_data.load(config.data)
table.features.head()

# %% [markdown]
# ## Columns
#
# A column whose values are all numbers is *numeric*, another is *categorical*. A column with a
# different text in every row only names the row and is ignored. Missing values are written in many
# ways (`?`, `NA`, nothing at all), and all are found.

# %%
print(f"table {table.name}, to predict: {table.target}")
print(tables_of_data.describe_columns(table))

# %% [markdown]
# ## Splits
#
# A fifth of the rows is put away as test, with the same share of each class. There is no val: with
# few rows it is better to choose by cross-validation, in which each training row is held out once.

# %%
rows = tables_of_data.split_rows(table, config.data.seed, config.search.folds)
train = tabular.examples_of(table, rows["train"])
test = tabular.examples_of(table, rows["test"])
labels = {"train": train.labels, "test": test.labels}
tabular_output.class_balance(table, labels)

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
# ## Estimators, tuned
#
# Five kinds, each with a small grid of parameters tried by cross-validation.

# %%
task = tabular.task_of(table)
candidates = {
    name: tabular.tune(name, config, table, task, train) for name in config.tabular.estimators
}
comparison = selection.compare({name: each.right for name, each in candidates.items()})
study_figures.comparison(comparison, f"{table.target} of {table.name}, cross-validation", "rows")

# %% [markdown]
# The parameters were chosen by the same folds, so these scores flatter a little, most where many
# values were tried. And with some hundred rows intervals are wide: an estimator that cannot be told
# apart from the winner may well be the better one. Then take the one that is easier to explain, or
# quicker.

# %%
winner = candidates[comparison.winner]
study_figures.search_heat_map(
    winner.search_results, "accuracy", f"{comparison.winner} on {table.target} of {table.name}"
)

# %% [markdown]
# ## Test, once
#
# The choice is made. Now each is fitted to all training rows and reads test, for the table; the
# choice stays as it is, whatever test says.

# %%
scored = {
    name: tabular.score(each.pipeline, task, train, test) for name, each in candidates.items()
}
tables.of_metrics(
    {name: each.metrics for name, each in scored.items()},
    ["accuracy", "precision", "recall", "f1", "roc_auc"],
    f"{table.target} of {table.name}, test",
)

# %%
importances = tabular.importances_of(scored[comparison.winner].pipeline, test, config.seed)
drawers = tabular_output.drawers(
    table,
    labels,
    comparison,
    {name: each.probabilities for name, each in scored.items()},
    importances,
    winner.search_results,
)
drawers["roc"]()

# %% [markdown]
# As in the first notebook, the confusion matrix says which mistakes are made, not only how many.

# %%
drawers["confusion"]()

# %% [markdown]
# ## Which columns matter?
#
# Shuffle the values of one column among the test rows, so that it says nothing any more, and see
# how far accuracy falls. A column whose line crosses zero was perhaps of no use. Two columns that
# say the same can both look useless, because each stands in for the other; and what matters to the
# estimator need not be a *cause*.

# %%
drawers["importance"]()

# %% [markdown]
# ## Predictions
#
# The first test rows, each with the predicted class and its probability. A row may have missing
# values.

# %%
tables.of_probabilities(
    test.features[:8], scored[comparison.winner].probabilities[:8], table.classes
)

# %% [markdown]
# ## To remember
#
# - Look at every column before anything else: its kind, its gaps, what it could give away.
# - Whatever is learned from data, medians and levels too, is learned from training rows.
# - Choose by cross-validation, read test once, and say how wide the interval is.
