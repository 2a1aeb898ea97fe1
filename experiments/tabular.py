"""A column of a table learned from the others: five estimators, tuned and compared.

Without a path it takes the embedded, synthetic table of letters, see mnist3/data/letters.py.
Gradient boosting wins with accuracy 0.863 on its 300 test rows:

    python launch.py --config=experiments/tabular.py

With one, any CSV or Parquet file with a column to predict. Measured on 24,000 rows of UCI census
income: accuracy 0.8721 on the held-out fifth by gradient boosting, the choice of cross-validation
(0.8707; random forest 0.8607, Flax MLP 0.8518, logistic regression 0.8514, decision tree 0.8501),
in 2 min 14 s with everything, two cores of an AMD EPYC (Zen 4) beside other work:

    python launch.py --config=experiments/tabular.py --config.data.path=adult.csv \
      --config.data.target=income
    python launch.py --config=experiments/tabular.py:learner=gradient_boosting ...
"""

from ml_collections import ConfigDict

from mnist3.config import parse_variants, table


def get_config(argument: str = "") -> ConfigDict:
    """Variants: `learner` (all, or one of config.compare.learners)."""
    variants = parse_variants(argument, learner="all")
    config = table()
    config.search.method = "grid"
    if variants.learner != "all":
        config.compare.learners = (variants.learner,)
    return config
