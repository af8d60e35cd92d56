"""``ncm``: the class whose mean feature is nearest."""

from __future__ import annotations

from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from strategies._frozen import FrozenFeatures

STRATEGY = FrozenFeatures({"categorical": lambda: make_pipeline(StandardScaler(), NearestCentroid())})
