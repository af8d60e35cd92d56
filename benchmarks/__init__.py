"""Data sets as tasks.

``names`` lists them, ``tasks`` loads them: from ``datasets`` (one file, one task), from anyone's ``own`` faces, or
``synthetic`` worlds. ``face_crop`` cuts photographs to the face, ``streams`` makes an Avalanche benchmark of tasks,
``contract`` checks what a data set promises.
"""
