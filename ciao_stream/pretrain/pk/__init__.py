"""PK: "prior knowledge", the adversarial autoencoder whose encoder the paper puts CIAO on.

References:
    - [0] Barros, Parisi, Wermter: A Personalized Affective Memory Model, ICML 2019, https://arxiv.org/abs/1904.12632
    - [1] Zhang, Song, Qi: Age Progression/Regression by Conditional Adversarial Autoencoder, CVPR 2017,
      https://arxiv.org/abs/1702.08423, from which the networks come

The code published with [0] optimises encoder and generator only, so that its discriminators stay random, and takes the
cross-entropy of one minus a logit. Here each discriminator has its own optimiser and learns in every step.
"""
