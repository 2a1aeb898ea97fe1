"""Experiments that learn hardly anything, in seconds; tests that take the same share its run."""

NUMBERS = (
    "experiments/quickstart.py:model=logistic"
    " --config.data.digits=2 --config.data.width=56 --config.data.train_examples=512 "
    "--config.data.val_examples=100 --config.data.test_examples=100 --config.training.epochs=1"
)
KNN = "experiments/classify.py:learner=knn,train_limit=600,source=digits,task={}"
