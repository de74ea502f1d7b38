"""Asks scikit-learn for the areas under the curves of areas.rs.

usage: areas.py DIR
DIR holds scores (f32), positive (u8) and weight (f64), one of each for a flow. Prints the area under the ROC curve and the
average precision.
"""

import sys

import numpy
from sklearn.metrics import average_precision_score, roc_auc_score

scores, positive, weight = (
    numpy.fromfile(f"{sys.argv[1]}/{name}", kind) for name, kind in [("scores", "<f4"), ("positive", "u1"), ("weight", "<f8")]
)
for area in (roc_auc_score, average_precision_score):
    print(repr(float(area(positive, scores, sample_weight=weight))))
