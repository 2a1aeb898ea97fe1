"""What the page of a run says of its figures and facts to somebody who sees them first."""

CAPTIONS = {  # by the figure's name: what it shows, and how to read it
    "learning_curves": (
        "The loss, and the metric that matters most, after each epoch. Of a share its errors are "
        "drawn on a logarithmic axis: each step down halves or tenths them. Where the val line "
        "rises while the train line falls, the model learns its training images by heart."
    ),
    "replicates": (
        "Runs that differ in their seed alone, after each epoch: how far apart the thin lines of a "
        "colour are is what chance does to a run. The thick line is their mean, the band one "
        "standard deviation to either side."
    ),
    "learning_curve": (
        "The mean loss on the training data in each pass over them. A line that still falls at its "
        "end says that more passes may help."
    ),
    "position_accuracy": (
        "How often the digit at each position is misread; lower is better. Bars whose lines "
        "overlap widely cannot be told apart by so few images."
    ),
    "misread": (
        "Mistakes, the most confident ones first: above each image its label and what was read, "
        "the wrong digits bold, with the probability that the model gave its reading. The same "
        "mistake is not shown again and again."
    ),
    "accuracy_by_length": (
        "Share of the images of each length that are misread: a number of many digits is right "
        "only if all of them are, and none is left out or added. The lines are 95 % intervals."
    ),
    "confusion": (
        "Rows are true classes, columns what was read. The diagonal (blue) is right; an orange "
        "cell counts the images of its row that were taken for its column; blank cells never "
        "happened."
    ),
    "thresholds": (
        "Calling an image positive from a higher score on makes what is called so purer "
        "(precision) and misses more (recall). The dots are the threshold that was chosen."
    ),
    "precision_recall": (
        "Precision against recall over all thresholds; the upper right corner is perfect. Where "
        "the positive class is rare this says more than the ROC curve."
    ),
    "roc": (
        "The share of the positive ones that are found against the share of the negative ones that "
        "raise a false alarm, over all thresholds. The upper left corner is perfect, the dotted "
        "diagonal is chance."
    ),
    "reliability": (
        "Whether a confidence can be believed: of the images read with 80 % confidence, 80 % "
        "should be right. Points above the dotted line are too modest, points below it too sure; "
        "the bars count the images of each confidence. Before it was calibrated on val the model "
        "was as the orange line says."
    ),
    "risk_coverage": (
        "How many errors are left if only the most confident readings are kept, from all of them "
        "(right) down. Left of the green line readings are called sure: there the bound of the "
        "errors, which allows for chance, is as low as was wanted, or as val can show. Where the "
        "blue line ends, no error is left."
    ),
    "optimisation_history": (
        "What each trial of the sweep reached on val, in the order in which they began, and the "
        "best so far. A line that no longer rises says that more trials of this search will hardly "
        "help."
    ),
    "parameter_importance": (
        "How much of the differences between complete trials each parameter explains, alone and "
        "with others. One that explains nothing can keep its default; of few trials this is a "
        "rough estimate."
    ),
    "parallel_coordinates": (
        "Each line is a trial: it crosses every axis at the trial's value and ends, at the right, "
        "at what the trial reached. Where bright lines cross an axis close together, that value "
        "matters."
    ),
    "examples": "Images as the model sees them, with the labels to be read.",
    "class_balance": (
        "How often each class occurs in each split. Bars far from the dotted line belong to "
        "classes that are rarer or more frequent than the others."
    ),
    "augmented": (
        "Training images on the left, and what random augmentation makes of each of them. Whatever "
        "could no longer be read by a person is augmented too much."
    ),
    "filters": (
        "The weights of the first layer, one square a filter. Purple pixels add to what the filter "
        "finds, orange ones subtract; strokes and edges are signs of learning, noise is not."
    ),
    "feature_maps": (
        "What each layer makes of one image, a picture a channel: bright where the channel found "
        "what it looks for. Each layer has a scale of its own."
    ),
    "saliency": (
        "The ink that the reading hangs on: the more orange, the more the model's score would "
        "change, were that ink taken away (gradient times ink, Shrikumar et al. 2016, smoothed "
        "over a pixel; each image on its own scale)."
    ),
    "search": (
        "The score of each combination of parameters that was tried, by cross-validation on the "
        "training data; the framed one, or the star, was chosen. Where it lies at the border of "
        "what was tried, a better one may lie beyond."
    ),
    "worst_images": (
        "The images whose true class was given the least probability, the worst first; what was "
        "read wrongly is bold. Some of them may be labelled wrongly."
    ),
    "pair_gallery": (
        "The two classes that are confused most: read rightly on the diagonal, taken for each "
        "other beside it."
    ),
    "label_errors": (
        "Images that are surely of another class than their label's, if the model is to be "
        "believed (confident learning, Northcutt et al. 2021). Look at them before you trust the "
        "labels."
    ),
    "cleaned": (
        "Noisy images, what was made of them, and the images before the noise. The number is the "
        "distance to the clean image; 0 would be perfect."
    ),
    "digit_grid": "The first training images as they are.",
    "digit": "One training image as the numbers that it is to a machine: its grey levels by pixel.",
    "comparison": (
        "How good each candidate is (left), and by how much it lies behind the best one (right). "
        "A line that crosses zero means that the difference may be chance; p below 0.05, corrected "
        "for the number of comparisons, that it hardly is."
    ),
    "importance": (
        "How much worse the predictions become when one column's values are shuffled among the "
        "rows. Columns that say the same share their importance."
    ),
}

FACT_WORDS = {  # by the fact's name: what it means
    "protocol": (
        "What the splits share. Numbers disjoint: no number of val or test was trained on. Digit "
        "images disjoint: no handwriting of val or test was trained on, which is the harder and "
        "the more honest test."
    ),
    "fingerprint": (
        "A checksum of the data: two runs with the same fingerprint learned and were measured on "
        "the same rows, so that their figures can be compared."
    ),
}


def caption(name: str) -> str:
    """Returns the caption of a figure by its name, nothing for one that has none."""
    return CAPTIONS.get(name, "")
