"""Experiments that learn hardly anything, in seconds; tests that take the same share its run."""

NUMBERS = (
    "experiments/quickstart.py:model=logistic"
    " --config.data.digits=2 --config.data.width=56 --config.data.train_examples=512 "
    "--config.data.val_examples=100 --config.data.test_examples=100 --config.training.epochs=1"
    " --config.augmentation.rotation=0.0 --config.augmentation.scale=0.0"
    " --config.augmentation.shear=0.0 --config.augmentation.shift=1"  # which compiles sooner
)
STRINGS = (
    "experiments/people.py:source=digits --config.data.digits=(1,3) --config.data.width=64"
    " --config.data.train_examples=128 --config.data.val_examples=64"
    " --config.data.test_examples=64 --config.model.line_channels=(4,4,4,4)"
    " --config.model.line_context=0 --config.training.epochs=1 --config.training.batch_size=64"
)
KNN = "experiments/classify.py:learner=knn,train_limit=600,source=digits,task={}"
