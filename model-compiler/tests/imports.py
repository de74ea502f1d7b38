"""The libraries themselves, for the test of imports: `imports.py train DIR` reads DIR/rows.csv and writes each model in
the form that `model-compiler import` reads; `imports.py answer DIR` reads DIR/NAME.rows, f32, and writes what the library
says of them into DIR/NAME.answers: for each row the probability of each class, then the class that it decides for, f64.
"""
import pickle
import runpy
import sys
import warnings
from pathlib import Path

import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
import pandas
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.ensemble import (ExtraTreesClassifier, GradientBoostingClassifier, HistGradientBoostingClassifier,
                              RandomForestClassifier)
from sklearn.tree import DecisionTreeClassifier

warnings.filterwarnings("ignore")
directory = Path(sys.argv[2])
exporters = Path(__file__).parent / "../src/import"
export = runpy.run_path(str(exporters / "export_scikit_learn.py"))["export"]
export_histogram_boosting = runpy.run_path(str(exporters / "export_histogram_boosting.py"))["export_histogram_boosting"]
LEADING = 6  # columns before the features


def train():
    table = pandas.read_csv(directory / "rows.csv", skiprows=1)
    x, labels = table.iloc[:, LEADING:].astype(np.float32), table["label"].to_numpy()
    names, y = np.unique(labels, return_inverse=True)
    (directory / "classes").write_text(",".join(names))
    two, two_labels = (y > 0).astype(int), np.where(y > 0, "scan", "benign")
    scikit_learn(x, labels, two_labels)
    by_lightgbm(x, y, two)
    by_xgboost(x, y, two)
    by_onnx(x, labels, two_labels, y, two)


def keep(name, model):
    (directory / f"{name}.pickle").write_bytes(pickle.dumps(model))


def scikit_learn(x, labels, two_labels):
    models = {
        "tree": DecisionTreeClassifier(max_depth=12, random_state=1).fit(x, labels),
        "random_forest": RandomForestClassifier(40, max_depth=12, random_state=1).fit(x, labels),
        "extra_trees": ExtraTreesClassifier(40, max_depth=12, random_state=1, class_weight="balanced").fit(x, labels),
        "boosting": GradientBoostingClassifier(n_estimators=20, max_depth=4, random_state=1).fit(x, labels),
        "boosting_two": GradientBoostingClassifier(n_estimators=20, random_state=1).fit(x, two_labels),
        "boosting_zero_two": GradientBoostingClassifier(n_estimators=20, init="zero", random_state=1).fit(x, two_labels),
        "hist_boosting": HistGradientBoostingClassifier(max_iter=30, random_state=1).fit(x, labels),
        "hist_boosting_two": HistGradientBoostingClassifier(max_iter=30, random_state=1).fit(x, two_labels),
    }
    for name, model in models.items():
        write = export_histogram_boosting if name.startswith("hist") else export
        write(model, directory / f"scikit_learn_{name}.model")
        keep(f"scikit_learn_{name}", model)


def by_lightgbm(x, y, two):
    forest = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "feature_fraction": 0.7}
    several = {"num_class": y.max() + 1}
    models = {
        "multiclass": ({"objective": "multiclass"} | several, y),
        "one_vs_rest": ({"objective": "multiclassova", "sigmoid": 1.3} | several, y),
        "two": ({"objective": "binary", "sigmoid": 0.7}, two),
        "forest": ({"objective": "multiclass"} | several | forest, y),
        "dart": ({"objective": "multiclass", "boosting": "dart"} | several, y),
    }
    for name, (parameters, target) in models.items():
        data = lightgbm.Dataset(x, target)
        model = lightgbm.train(parameters | {"verbose": -1, "num_leaves": 31, "seed": 1}, data, 50)
        model.save_model(directory / f"lightgbm_{name}.model")
        keep(f"lightgbm_{name}", model)


def by_xgboost(x, y, two):
    held_back = (x[::5], y[::5])
    models = {
        "multiclass": xgboost.XGBClassifier(n_estimators=50, max_depth=6).fit(x, y),
        "two": xgboost.XGBClassifier(n_estimators=50, max_depth=6).fit(x, two),
        "pruned": xgboost.XGBClassifier(n_estimators=20, max_depth=8, gamma=2.0, tree_method="exact").fit(x, y),
        "forest": xgboost.XGBRFClassifier(n_estimators=40, max_depth=8).fit(x, y),
        "parallel": xgboost.XGBClassifier(n_estimators=10, num_parallel_tree=4, subsample=0.5, base_score=0.3).fit(x, two),
        "stopped": xgboost.XGBClassifier(n_estimators=60, learning_rate=0.8, early_stopping_rounds=3)
                   .fit(x.drop(x.index[::5]), np.delete(y, np.s_[::5]), eval_set=[held_back], verbose=False),
    }
    for name, model in models.items():
        model.save_model(directory / "model.json")
        (directory / "model.json").rename(directory / f"xgboost_{name}.model")
        keep(f"xgboost_{name}", model)


def by_onnx(x, labels, two_labels, y, two):
    one = x[:1].to_numpy()
    boosted = {"n_estimators": 30, "num_leaves": 31, "verbose": -1}
    models = {
        "tree": to_onnx(DecisionTreeClassifier(max_depth=12, random_state=1).fit(x.to_numpy(), labels), one),
        "random_forest": to_onnx(RandomForestClassifier(40, max_depth=12, random_state=1).fit(x.to_numpy(), labels), one),
        "random_forest_two": to_onnx(RandomForestClassifier(40, max_depth=12, random_state=1).fit(x.to_numpy(), two_labels), one),
        "boosting": to_onnx(GradientBoostingClassifier(n_estimators=20, random_state=1).fit(x.to_numpy(), labels), one),
        "boosting_two": to_onnx(GradientBoostingClassifier(n_estimators=20, random_state=1).fit(x.to_numpy(), two_labels), one),
        "lightgbm": of_lightgbm(lightgbm.LGBMClassifier(**boosted).fit(x, y)),
        "lightgbm_two": of_lightgbm(lightgbm.LGBMClassifier(**boosted).fit(x, two)),
        "xgboost": of_xgboost(xgboost.XGBClassifier(n_estimators=30).fit(x.to_numpy(), y)),
        "xgboost_two": of_xgboost(xgboost.XGBClassifier(n_estimators=30).fit(x.to_numpy(), two)),
    }
    for name, model in models.items():
        (directory / f"onnx_{name}.model").write_bytes(model.SerializeToString())


def of_lightgbm(model):
    return onnxmltools.convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, model.n_features_in_]))])


def of_xgboost(model):
    return onnxmltools.convert_xgboost(model, initial_types=[("x", FloatTensorType([None, model.n_features_in_]))])


def answer():
    for path in sorted(directory.glob("*.rows")):
        name, features = path.stem, (directory / "features").read_text().split()
        x = np.fromfile(path, np.float32).reshape(-1, len(features))
        probabilities, chosen = by_graph(name, x) if name.startswith("onnx_") else by_library(name, x, features)
        np.column_stack([probabilities, chosen]).astype(np.float64).tofile(directory / f"{name}.answers")


def by_library(name, x, features):
    model = pickle.loads((directory / f"{name}.pickle").read_bytes())
    if isinstance(model, lightgbm.Booster):
        said = model.predict(x)
        said = said if said.ndim == 2 else np.column_stack([1 - said, said])
        return said, said.argmax(1)
    x = pandas.DataFrame(x, columns=features)
    classes = list(model.classes_)
    return model.predict_proba(x), [classes.index(label) for label in model.predict(x)]


def by_graph(name, x):
    session = onnxruntime.InferenceSession(directory / f"{name}.model", providers=["CPUExecutionProvider"])
    labels, said = session.run(None, {session.get_inputs()[0].name: x})
    classes = sorted(set(said[0])) if isinstance(said, list) else list(range(said.shape[1]))
    said = np.array([[row[label] for label in classes] for row in said]) if isinstance(said, list) else said
    return said, [classes.index(label) for label in labels]


{"train": train, "answer": answer}[sys.argv[1]]()
