"""The rivals of `make bench-model`. `rivals.py train DIR` trains the models on DIR/rows.csv and writes each as
DIR/NAME.model for `model-compiler import` and as C of m2cgen and tl2cgen; `rivals.py predict DIR ROUNDS` prints how long
scikit-learn's own predict takes on DIR/questions, f32, in ns per row: all rows in one call."""
import pickle
import runpy
import sys
import time
from pathlib import Path

import m2cgen
import numpy as np
import pandas
import tl2cgen
import treelite
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

directory = Path(sys.argv[2])
LEADING = 6  # columns before the features
sys.setrecursionlimit(10_000)


def train():
    export = runpy.run_path(str(Path(__file__).parent / "../../src/import/export_scikit_learn.py"))["export"]
    table = pandas.read_csv(directory / "rows.csv", skiprows=1)
    x, labels = table.iloc[:, LEADING:].astype(np.float32), table["label"]
    models = {
        "depth_6": DecisionTreeClassifier(max_depth=6, random_state=1),
        "depth_12": DecisionTreeClassifier(max_depth=12, random_state=1),
        "forest": RandomForestClassifier(100, max_depth=8, min_samples_leaf=20, random_state=1),
    }
    for name, model in models.items():
        model.fit(x, labels)
        export(model, directory / f"{name}.model")
        (directory / f"{name}.pickle").write_bytes(pickle.dumps(model))
        if isinstance(model, DecisionTreeClassifier):
            (directory / f"m2cgen_{name}.c").write_text(m2cgen.export_to_c(model))
        tl2cgen.generate_c_code(treelite.sklearn.import_model(forest_of(model, x, labels)), str(directory / f"tl2cgen_{name}"),
                                params={"parallel_comp": 0 if isinstance(model, DecisionTreeClassifier) else 8})


def forest_of(model, x, labels):
    """A forest as treelite takes it: single trees it does not know."""
    if isinstance(model, RandomForestClassifier):
        return model
    forest = RandomForestClassifier(1, max_depth=1).fit(x, labels)
    forest.estimators_ = [model]
    return forest


def predict():
    x = np.fromfile(directory / "questions", np.float32)
    for path in sorted(directory.glob("*.pickle")):
        model = pickle.loads(path.read_bytes())
        rows = pandas.DataFrame(x.reshape(-1, model.n_features_in_), columns=model.feature_names_in_)
        for _ in range(int(sys.argv[3])):
            begin = time.perf_counter()
            chosen = model.predict(rows)
            taken = (time.perf_counter() - begin) / len(rows) * 1e9
            places = np.searchsorted(model.classes_, chosen)
            print(path.stem, "scikit-learn predict", taken, int(places.sum()))


{"train": train, "predict": predict}[sys.argv[1]]()
