"""CRS-CONT: a general face encoder from coarse labels, by supervised contrast.

References:
    - [0] Li, Wang, Ding, Yang: CRS-CONT: A Well-Trained General Encoder for Facial Expression Analysis,
      IEEE Transactions on Image Processing 31, 2022
"""
