"""What the paper reports.

References:
    - [0] Barros, Sciutti: CIAO! A Contrastive Adaptation Mechanism for Non-Universal Facial Expression Recognition,
      2022, https://arxiv.org/abs/2208.07221, Tables I and II

Accuracies are percent; CCC and F1 are not. JAFFE's row of PK with LC is as printed: 92.1 without CIAO, 80.3 with.
"""

from __future__ import annotations

from collections.abc import Mapping

Pair = tuple[float, float]
"""Without CIAO, with CIAO."""

MODELS: Mapping[str, str] = {"vggface": "VGG", "weights:vggface": "VGG", "pk": "PK"}
"""What the paper calls our encoders."""

TABLE_I: Mapping[tuple[str, str], Mapping[str, tuple[Pair, Pair, Pair]]] = {
    ("affectnet-va", "ccc_arousal"): {
        "VGG": ((0.46, 0.49), (0.35, 0.48), (0.29, 0.47)),
        "PK": ((0.42, 0.49), (0.30, 0.47), (0.20, 0.45)),
    },
    ("affectnet-va", "ccc_valence"): {
        "VGG": ((0.50, 0.60), (0.40, 0.58), (0.31, 0.58)),
        "PK": ((0.55, 0.59), (0.38, 0.55), (0.15, 0.54)),
    },
    ("affectnet", "accuracy"): {
        "VGG": ((60.1, 65.7), (50.3, 63.4), (35.2, 62.9)),
        "PK": ((59.9, 63.6), (45.3, 60.2), (15.2, 59.9)),
    },
    ("fer", "accuracy"): {
        "VGG": ((72.5, 76.1), (63.2, 69.3), (55.3, 68.2)),
        "PK": ((70.1, 75.4), (59.2, 70.1), (28.2, 70.2)),
    },
    ("ferplus", "accuracy"): {
        "VGG": ((91.7, 94.5), (83.5, 90.1), (72.3, 89.3)),
        "PK": ((88.9, 93.2), (81.1, 89.4), (69.3, 90.1)),
    },
    ("jaffe", "accuracy"): {
        "VGG": ((92.1, 93.4), (73.4, 92.1), (69.3, 91.5)),
        "PK": ((83.3, 85.2), (92.1, 80.3), (27.8, 79.8)),
    },
    ("emoreact", "macro_f1"): {
        "VGG": ((0.70, 0.73), (0.60, 0.70), (0.58, 0.69)),
        "PK": ((0.74, 0.76), (0.63, 0.72), (0.26, 0.69)),
    },
}
"""By task and metric, by model, in the order of :data:`ciao_stream.benchmark.suites.SCHEMES`."""

TABLE_II: Mapping[tuple[str, str], Mapping[str, float]] = {
    ("affectnet-va", "ccc_arousal"): {
        "AlexNet": 0.34, "MobileNet": 0.48, "VGG+GAN": 0.54, "CIAO, full": 0.50, "CIAO, dl": 0.47,
    },
    ("affectnet-va", "ccc_valence"): {
        "AlexNet": 0.60, "MobileNet": 0.57, "VGG+GAN": 0.62, "CIAO, full": 0.60, "CIAO, dl": 0.58,
    },
    ("affectnet", "accuracy"): {"PSR": 60.68, "RAN": 59.5, "ESR-9": 59.3, "CIAO, full": 65.7, "CIAO, dl": 62.9},
    ("fer", "accuracy"): {
        "ResMaskNet": 76.8, "Inception": 72.4, "DeepEmotion": 70.0, "CIAO, full": 76.1, "CIAO, dl": 70.2,
    },
    ("ferplus", "accuracy"): {"PSR": 89.75, "RAN": 89.16, "SENet": 88.8, "CIAO, full": 94.5, "CIAO, dl": 90.1},
    ("jaffe", "accuracy"): {"DeepEmotion": 92.2, "SalientPatch": 91.8, "CIAO, full": 93.4, "CIAO, dl": 91.5},
    ("emoreact", "macro_f1"): {"RBFSVM": 0.69, "SVM": 0.66, "CIAO, full": 0.76, "CIAO, dl": 0.69},
}  # fmt: skip
"""Published rivals by task and metric, and the paper's own best with full re-training and with the head alone."""
