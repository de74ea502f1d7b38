# Writes a fitted HistGradientBoostingClassifier of scikit-learn for `model-compiler import`.
import json
import numpy as np


def export_histogram_boosting(model, path):
    names = ["classes_", "n_features_in_", "feature_names_in_", "_baseline_prediction"]
    said = {"scikit-learn": type(model).__name__} | {name: getattr(model, name, None) for name in names}
    trees = [predictor.nodes for predictor in np.ravel(model._predictors)]
    said["trees"] = [{name: nodes[name] for name in nodes.dtype.names} for nodes in trees]
    with open(path, "w") as file:
        json.dump(said, file, default=np.ndarray.tolist)
